"""One beat acts at every moment, and no run is sent twice, whatever happens to its pod.

The database itself keeps the minutes: triggers write down each change of the lease, and who sent each run.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from resources.waiting import wait_for

from tests.cluster.release import BRIEF, Release, name_of

KEY = "every-second"
SECONDS_UNTIL_THE_NEXT_ACTS = 180
MINUTES = """
CREATE TABLE minutes (
    number serial, at timestamptz, what text, before text, before_until timestamptz, holder text, sender inet
);
CREATE FUNCTION note_lease() RETURNS trigger SECURITY DEFINER LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO minutes (at, what, before, before_until, holder)
    VALUES (clock_timestamp(), 'lease', OLD.holder, OLD.expires_at, NEW.holder);
    RETURN NULL;
END $$;
CREATE FUNCTION note_send() RETURNS trigger SECURITY DEFINER LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO minutes (at, what, holder, sender)
    SELECT clock_timestamp(), 'send', holder, inet_client_addr() FROM celery_ops_beatlease;
    RETURN NULL;
END $$;
CREATE TRIGGER note_lease AFTER UPDATE ON celery_ops_beatlease FOR EACH ROW EXECUTE FUNCTION note_lease();
CREATE TRIGGER note_send AFTER INSERT ON celery_ops_outboxmessage FOR EACH ROW
    WHEN (NEW.task = 'shop.tasks.record_effect') EXECUTE FUNCTION note_send();
"""
SCHEDULE = f"""
from django_celery_beat.models import IntervalSchedule, PeriodicTask
second = IntervalSchedule.objects.create(every=1, period=IntervalSchedule.SECONDS)
PeriodicTask.objects.create(
    name="{KEY}", task="shop.tasks.record_effect", args='["{KEY}", 0]', queue="celery", interval=second
)
"""


@pytest.fixture(scope="module")
def release(empty_release: Release) -> Release:
    empty_release.files += (BRIEF,)
    empty_release.install()
    empty_release.sql(MINUTES)
    empty_release.django(SCHEDULE)
    return empty_release


@dataclass(frozen=True)
class Beat:
    name: str
    address: str


def beats(release: Release) -> list[Beat]:
    return [Beat(name_of(pod), pod["status"].get("podIP", "")) for pod in release.pods("beat")]


def acting(release: Release) -> Beat | None:
    """The beat that holds the lease and has sent something."""
    for beat in beats(release):
        sends = f"SELECT 1 FROM minutes WHERE what = 'send' AND holder = '{beat.name}' AND sender = '{beat.address}'"
        if beat.address and release.sql(f"{sends} LIMIT 1"):
            return beat
    return None


def upgrade(release: Release, beat: Beat) -> None:
    release.upgrade({"beat": {"heartbeat_max_age": 100}})


def evict(release: Release, beat: Beat) -> None:
    release.evict(beat.name)


def delete(release: Release, beat: Beat) -> None:
    release.kubectl("delete", "pod", beat.name)


def kill(release: Release, beat: Beat) -> None:
    release.kubectl("delete", "pod", beat.name, "--grace-period=0", "--force")


@pytest.mark.parametrize("happens", [upgrade, evict, delete, kill])
def test_another_beat_goes_on(release: Release, happens: Callable[[Release, Beat], None]) -> None:
    first = wait_for("a beat acts", lambda: acting(release), SECONDS_UNTIL_THE_NEXT_ACTS)
    happens(release, first)

    def next_one() -> Beat | None:
        found = acting(release)
        return found if found and found.name != first.name else None

    wait_for("the next one acts", next_one, SECONDS_UNTIL_THE_NEXT_ACTS)


def test_the_lease_was_only_taken_when_it_was_free(release: Release) -> None:
    taken = "what = 'lease' AND holder <> '' AND before <> '' AND before <> holder"
    assert not release.sql(f"SELECT * FROM minutes WHERE {taken} AND before_until > at")
    assert len(release.sql("SELECT DISTINCT holder FROM minutes WHERE holder <> ''")) >= 5


def test_each_run_was_sent_by_the_holder_of_the_lease(release: Release) -> None:
    by_holder = "SELECT holder, count(DISTINCT sender) FROM minutes WHERE what = 'send' GROUP BY holder"
    assert {senders for _, senders in release.sql(by_holder)} == {"1"}
    by_sender = "SELECT sender, count(DISTINCT holder) FROM minutes WHERE what = 'send' GROUP BY sender"
    assert {holders for _, holders in release.sql(by_sender)} == {"1"}


def test_no_run_was_sent_twice_and_each_took_effect_once(release: Release) -> None:
    release.django("from django_celery_beat.models import PeriodicTask; PeriodicTask.objects.update(enabled=False)")
    counts = """
        SELECT total_run_count, (SELECT count(*) FROM minutes WHERE what = 'send'),
            (SELECT floor(extract(epoch FROM max(at) - min(at))) FROM minutes WHERE what = 'send')
        FROM django_celery_beat_periodictask WHERE name = 'every-second'
    """
    runs, sends, seconds = map(int, release.sql(counts)[0])
    assert runs == sends
    # Due every second, it was never sent before it was.
    assert sends <= seconds + 1
    wait_for("all took effect", lambda: release.ledger([KEY])[KEY].effects >= sends)
    assert release.ledger([KEY])[KEY].effects == sends
