"""The chart's hook against messages that nobody would take, in a RabbitMQ as its management API lists it."""

from __future__ import annotations

import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.stalk.celery.plugins.module_utils import stranded
from ansible_collections.stalk.celery.plugins.module_utils.stranded import (
    BrokerSilent,
    ExternalRabbitMQ,
    RabbitMQ,
    rabbitmq,
    refusals,
    refusals_to_move,
)
from pems import make

BEFORE, NOW = {"celery", "reports"}, {"celery"}
PASSING = ["celeryev.1", "celeryev", "celery.pidbox", "high@pod.celery.pidbox", "1.reply.celery.pidbox"]
REMEDY = (
    "and no pool would consume it; keep a pool for it until it is empty, or leave what it holds with "
    "helm upgrade --set 'kubernetes.abandon={reports}' or helm rollback --no-hooks"
)


def broker(ready: dict[str, int] | None = None, taken: dict[str, int] | None = None) -> RabbitMQ:
    """With these messages, and of each queue that is nobody's work one too; a new queue has no figures."""
    lengths = {**dict.fromkeys(["celery", "reports", "@dead.default", "celery_delayed_3"], 0), **(ready or {})}
    listed = [
        {"name": queue, "messages_ready": count, "messages_unacknowledged": (taken or {}).get(queue, 0)}
        for queue, count in {**lengths, **dict.fromkeys(PASSING, 1)}.items()
    ]
    return RabbitMQ([*listed, {"name": "new"}])


def leaving(ready: dict[str, int], abandoned: set[str] | None = None, deployed: set[str] = BEFORE) -> list[str]:
    return refusals(broker(ready), deployed, NOW, abandoned or set())


def test_what_waits_in_a_queue_that_leaves_is_refused() -> None:
    assert leaving({}) == []
    assert leaving({"celery": 3}) == []
    assert leaving({"reports": 2}) == [f"queue reports: 2 messages wait {REMEDY}"]
    assert leaving({"reports": 2}, abandoned={"reports"}) == []


def test_what_came_while_a_pool_left_is_refused_at_the_next_upgrade() -> None:
    assert leaving({"reports": 1}, deployed=NOW) == [f"queue reports: 1 message waits {REMEDY}"]
    assert leaving({}, deployed=NOW) == []


def test_what_is_for_later_may_be_for_a_queue_that_leaves() -> None:
    may_be = f"queue reports: 4 messages wait for later, of which some may be for it {REMEDY}"
    assert leaving({"celery_delayed_3": 4}) == [may_be]
    assert leaving({"celery_delayed_3": 4}, abandoned={"reports"}) == []
    assert leaving({"celery_delayed_3": 4}, deployed=NOW) == []


def test_what_was_sent_just_before_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The figures are some seconds old, so it waits for them where a queue leaves."""
    lengths = {"reports": 0}
    waits: list[int] = []

    def wait(seconds: int) -> None:
        waits.append(seconds)
        lengths["reports"] = 1

    monkeypatch.setattr(stranded, "connect", lambda _: broker(lengths))
    monkeypatch.setattr(time, "sleep", wait)
    assert stranded.stranded("rabbitmq", BEFORE, BEFORE, set()) == []
    assert waits == []
    assert stranded.stranded("rabbitmq", BEFORE, NOW, set()) == [f"queue reports: 1 message waits {REMEDY}"]
    assert waits == [stranded.SECONDS_UNTIL_COUNTED]


def test_dead_letters_are_told_and_refuse_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert leaving({"@dead.default": 1, "@dead.reports": 2}, deployed=NOW) == []
    assert capsys.readouterr().out == (
        "1 dead letter of pool default in the queue @dead.default; docs/rabbitmq.md says what to do.\n"
        "2 dead letters of pool reports in the queue @dead.reports; docs/rabbitmq.md says what to do.\n"
    )


def moving(abandoned: set[str] | None = None, **lengths: dict[str, int]) -> list[str]:
    return refusals_to_move(broker(**lengths), ("kind", "rabbitmq", "redis"), BEFORE, abandoned or set())


def leaves(found: str, queues: str) -> str:
    return (
        f"broker.kind: redis would begin empty, and leave what rabbitmq has to nobody ({found}); keep rabbitmq until "
        f"its queues are empty, or leave what they hold with helm upgrade --set 'kubernetes.abandon={{{queues}}}'"
    )


def test_another_broker_is_refused_while_this_one_holds_anything() -> None:
    assert moving() == []
    both = "queue celery: 2 messages wait, queue reports: a worker holds 1 message"
    assert moving(ready={"celery": 2}, taken={"reports": 1}) == [leaves(both, "celery,reports")]
    assert moving({"celery", "reports", "new"}, ready={"celery": 2}) == []


@pytest.mark.parametrize(
    ("queue", "said"),
    [
        ("celery_delayed_3", "5 messages wait for later"),
        ("@dead.default", "5 dead letters"),
    ],
)
def test_what_is_of_no_queue_in_particular_counts_too(queue: str, said: str) -> None:
    assert moving(ready={queue: 5}) == [leaves(said, "celery,new,reports")]
    assert moving({"celery"}, ready={queue: 5}) == [leaves(said, "new,reports")]
    assert moving({"celery", "reports", "new"}, ready={queue: 5}) == []


Api = Callable[[int], tuple[str, dict[str, str]]]


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    """An address of it that answers so, and what the caller trusts it by and shows."""
    make(names=("localhost",), end=datetime.now(UTC) + timedelta(days=30)).write(tmp_path, "leaf")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "leaf.crt", tmp_path / "leaf.key")
    context.load_verify_locations(tmp_path / "leaf.crt")
    context.verify_mode = ssl.CERT_REQUIRED
    status = 200

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = self.path == "/api/queues/shop?columns=name,state,messages_ready,messages_unacknowledged"
            # queues:sesame
            known = self.headers["Authorization"] == "Basic cXVldWVzOnNlc2FtZQ=="
            self.send_response(status if asked and known else 404)
            self.end_headers()
            self.wfile.write(json.dumps([{"name": "celery", "messages_ready": 7}]).encode())

        def log_message(self, *_: Any) -> None:
            """Says nothing."""

    server = HTTPServer(("localhost", 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()

    def address(answered: int) -> tuple[str, dict[str, str]]:
        nonlocal status
        status = answered
        files = {"CELERY_TLS_CA": "crt", "CELERY_TLS_CERT": "crt", "CELERY_TLS_KEY": "key"}
        paths = {name: str(tmp_path / f"leaf.{ending}") for name, ending in files.items()}
        return f"https://queues:sesame@localhost:{server.server_port}/shop", paths

    yield address
    server.shutdown()
    thread.join()
    server.server_close()


def test_it_is_asked_with_a_certificate_and_a_password(api: Api) -> None:
    assert rabbitmq(*api(200)).waiting(["celery"]) == {"celery": 7}


@pytest.mark.parametrize("answered", [401, 500])
def test_an_answer_that_is_none_is_told_without_the_password(api: Api, answered: int) -> None:
    with pytest.raises(BrokerSilent, match=f"^its management API answers {answered} ") as silent:
        rabbitmq(*api(answered))
    assert "sesame" not in str(silent.value)


def test_one_that_is_away_is_told_in_one_line(api: Api) -> None:
    _, files = api(200)
    with pytest.raises(BrokerSilent, match="Connection refused"):
        rabbitmq("https://queues:sesame@localhost:1/shop", files)


def test_the_broker_of_an_upgrade_that_failed_is_not_taken_for_the_one_that_runs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    monkeypatch.setenv("CELERY_KEY_PREFIX", "shop:")
    (tmp_path / "CELERY_BROKER_URL").write_text("amqps://worker:sesame@shop-rabbitmq:5671/shop")
    for kind in ("redis", "external"):
        with pytest.raises(BrokerSilent, match=r"^since an upgrade failed, CELERY_BROKER_URL names another"):
            stranded.connect(kind)


def test_an_external_one_tells_what_waits_and_no_more() -> None:
    lengths = {"reports": 2, "celery_delayed_3": 1}
    asked = ExternalRabbitMQ(lambda queue: lengths.get(queue, 0))
    assert refusals(asked, BEFORE, NOW, set()) == [f"queue reports: 2 messages wait {REMEDY}"]
    lengths["reports"] = 0
    (line,) = refusals(asked, BEFORE, NOW, set())
    assert line.startswith("queue reports: 1 message waits for later, of which some may be for it ")
    lengths.clear()
    assert refusals(asked, BEFORE, NOW, set()) == []
