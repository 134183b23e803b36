from __future__ import annotations

import errno
import grp
import os
import stat
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.stalk.celery.plugins.module_utils import releases as releases_module
from ansible_collections.stalk.celery.plugins.module_utils.releases import (
    COMPLETE,
    PROVEN,
    Manage,
    ReleaseFailed,
    Releases,
    Settings,
    run,
    verify,
)
from ansible_collections.stalk.celery.plugins.module_utils.way_back import WayBack
from ansible_collections.stalk.celery.plugins.modules.release import Release, explain

GROUP = grp.getgrgid(os.getegid()).gr_name


@pytest.fixture
def releases(tmp_path: Path) -> Releases:
    made = Releases(tmp_path)
    for age, version in enumerate(["v4", "v3", "v2", "v1"]):
        add(made, version, 1000 - age)
    return made


def add(releases: Releases, version: str, finished: int | None) -> None:
    (releases.path(version) / "app").mkdir(parents=True)
    if finished is not None:
        mark = releases.path(version) / COMPLETE
        mark.touch()
        os.utime(mark, (finished, finished))


def test_the_newest_stay(releases: Releases) -> None:
    assert releases.surplus(2, frozenset({"v4"})) == ["v1", "v2"]
    assert releases.surplus(9, frozenset({"v4"})) == []


def test_the_current_one_stays_however_old_and_few_are_kept(releases: Releases) -> None:
    assert releases.surplus(1, frozenset({"v1"})) == ["v2", "v3", "v4"]
    assert releases.surplus(2, frozenset({"v1"})) == ["v2", "v3"]


def test_a_half_built_release_goes(releases: Releases) -> None:
    add(releases, "half", None)
    assert releases.surplus(9, frozenset({"v4"})) == ["half"]


def test_a_release_that_a_process_runs_from_is_in_use(releases: Releases) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], cwd=releases.path("v1") / "app", stdin=-1) as process:
        assert releases.in_use() == {"v1"}
        process.communicate(b"\n")
    assert releases.in_use() == frozenset()


def test_current_moves_only_to_a_complete_release(releases: Releases) -> None:
    assert releases.current() is None
    releases.switch("v3")
    releases.switch("v4")
    assert releases.current() == "v4"
    add(releases, "half", None)
    with pytest.raises(ReleaseFailed, match="not complete"):
        releases.switch("half")
    assert releases.current() == "v4"


def test_pruning_removes_the_folder(releases: Releases) -> None:
    releases.prune(["v1"])
    assert releases.newest_first() == ["v4", "v3", "v2"]
    assert not releases.path("v1").exists()


def test_a_secret_reaches_manage_py_by_its_path_alone(tmp_path: Path) -> None:
    for name in ("credentials/web/DATABASE_URL", "pki/web.key"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text("hidden")
    release, arguments = Path("/srv/shop/releases/v1"), ["manage.py", "migrate"]
    command = Manage("shop", "web", Settings(tmp_path)).command(release, "migrate", arguments, {"A": "b"})
    assert f"--property=LoadCredential=DATABASE_URL:{tmp_path}/credentials/web/DATABASE_URL" in command
    held = "/run/credentials/shop-manage-migrate.service/CELERY_TLS_KEY"
    # The environment file has the last word.
    assert f"--property=Environment=CELERY_TLS_KEY={held} PGSSLKEY={held}" in command
    assert not [word for word in command if word.startswith(("CELERY_TLS_KEY=", "PGSSLKEY="))]
    assert not [word for word in command if "hidden" in word]
    assert command[-3:] == ["/srv/shop/releases/v1/venv/bin/python", "manage.py", "migrate"]


def test_a_failed_command_tells_its_last_lines(tmp_path: Path) -> None:
    code = "import os, sys; print('first\\n' * 30 + 'why'); print(os.environ.get('HIDDEN')); sys.exit(3)"
    with pytest.raises(ReleaseFailed) as failed:
        run([sys.executable, "-c", code], "pip install", cwd=tmp_path)
    lines = str(failed.value).splitlines()
    assert lines[0] == "pip install ended with 3"
    assert lines[-2:] == ["why", "None"]
    assert len(lines) == 13


def asked_for(tmp_path: Path, **other: Any) -> Release:
    parameters = {
        "version": "v5", "keep": 3, "archive": None, "certificates": None, "digest": "digest", "root": str(tmp_path),
        "app": GROUP, "component": "web", "settings": str(tmp_path / "etc"), "celery": "config.celery",
        "scheduler": "", "parts": [], "components": [], "going_back": [], "way_back": True, "withdraw": False,
    }  # fmt: skip
    return Release(parameters | other, dry=False)


def test_a_full_disk_has_its_own_message(tmp_path: Path) -> None:
    release = asked_for(tmp_path)
    add(release.releases, "v4", 1)
    release.releases.switch("v4")
    for error in (OSError(errno.ENOSPC, "full"), ReleaseFailed("pip: No space left on device")):
        message = explain(error, release)
        assert message.startswith(f"{tmp_path}/releases: no space left on the disk, release v5 needs more than the ")
        assert "release v4 stays in use" in message
        assert "\n" not in message


def test_a_command_that_finds_the_disk_full_says_so_whatever_it_prints_after() -> None:
    script = "echo '[Errno 28] No space left on device'; for line in $(seq 50); do echo $line; done; exit 1"
    with pytest.raises(OSError, match="No space left on device"):
        run(["sh", "-c", script], "pip install")


def fill(folder: Path, files: dict[str, str]) -> None:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)


def test_settings_of_the_next_release_are_used_for_it_and_by_nothing_else(tmp_path: Path) -> None:
    fill(tmp_path, {"web.env": "", "credentials/web/KEY": "", "next/credentials/web/KEY": ""})
    command = Manage("shop", "web", Settings(tmp_path)).command(Path("/srv"), "check", [], {})
    assert f"--property=EnvironmentFile={tmp_path}/web.env" in command
    assert f"--property=LoadCredential=KEY:{tmp_path}/next/credentials/web/KEY" in command
    assert (tmp_path / "next").exists()


def changed(path: Path) -> tuple[int, int, int]:
    """Whatever a write or a replacement changes, and no look does."""
    status = path.stat()
    return status.st_ino, status.st_mtime_ns, status.st_ctime_ns


def test_what_does_not_change_keeps_its_time_when_settings_are_taken_into_use(tmp_path: Path) -> None:
    fill(tmp_path, {"web.env": "a", "beat.env": "a", "credentials/web/KEY": "a", "credentials/redis/users.acl": "a"})
    fill(tmp_path / "next", {"web.env": "b", "beat.env": "a", "credentials/web/KEY": "b", "credentials/web/MORE": "b"})
    (tmp_path / "beat.env").chmod(0o644)
    before = {name: changed(tmp_path / name) for name in ("beat.env", "credentials/redis/users.acl")}
    settings = Settings(tmp_path)
    settings.take_into_use()
    assert {name: changed(tmp_path / name) for name in before} == before
    assert (tmp_path / "web.env").read_text() == "b"
    keys = [tmp_path / "credentials/web" / name for name in ("KEY", "MORE")]
    assert [(key.read_text(), stat.S_IMODE(key.stat().st_mode)) for key in keys] == [("b", 0o600)] * 2
    assert not settings.next.exists()
    settings.take_into_use()


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Release]:
    """A release of an archive; what its Python would say is given."""
    archive = tmp_path / "project.tar.gz"
    with tarfile.open(archive, "w:gz") as packed:
        packed.add(__file__, "manage.py")

    def install(release: Path, certificates: Path | None) -> None:
        packages = release / "venv/lib/python3.11/site-packages"
        for name, version in (
            ("django", "5.2"), ("celery", "5.7.0"), ("kombu", "5.7.0"), ("redis", "8.1"), ("packaging", "26"),
            ("psycopg", "3.2"),
        ):  # fmt: skip
            fill(packages, {f"{name}-{version}.dist-info/METADATA": f"Name: {name}\nVersion: {version}\n"})

    monkeypatch.setattr(releases_module, "_install", install)
    monkeypatch.setattr(Manage, "command", lambda *_: ["true"])

    def made(**other: Any) -> Release:
        return asked_for(tmp_path, archive=str(archive), **other)

    return made


def test_only_root_and_the_app_read_a_release_s_code(project: Callable[..., Release]) -> None:
    release = project()
    assert release.built()
    assert stat.S_IMODE((release.releases.path("v5") / "app").stat().st_mode) == 0o750
    assert stat.S_IMODE((release.releases.path("v5") / "static").stat().st_mode) & 0o005 == 0o005


def test_a_release_of_another_source_under_the_same_version_is_refused(project: Callable[..., Release]) -> None:
    project(digest="one").built()
    assert not project(digest="one").built()
    with pytest.raises(ReleaseFailed, match=r"version: v5 was built from another source .* give another"):
        project(digest="other").built()


def test_missing_requirements_are_named_and_nothing_of_the_release_stays(project: Callable[..., Release]) -> None:
    release = project(parts=["web"])
    with pytest.raises(ReleaseFailed, match=r"lacks gunicorn>=25\.1 \(nothing is installed\); add it"):
        release.built()
    assert not release.releases.path("v5").exists()


def test_requirements_of_a_part_that_is_new_are_missed_in_a_release_that_is_not(
    project: Callable[..., Release],
) -> None:
    project().built()
    with pytest.raises(ReleaseFailed, match="lacks gevent"):
        project(parts=["gevent"]).built()


def test_a_project_is_asked_once_for_each_celery_app_and_scheduler(
    project: Callable[..., Release], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, ...]] = []
    monkeypatch.setattr(Manage, "ask", lambda self, release, name, question, *arguments: asked.append(arguments))
    for scheduler in ("a:B", "a:B", "c:D"):
        project(scheduler=scheduler).built()
    assert asked == [("config.celery", "a:B"), ("config.celery", "c:D")]


def answering(script: str, monkeypatch: pytest.MonkeyPatch) -> Manage:
    monkeypatch.setattr(Manage, "command", lambda *_: ["sh", "-c", script])
    return Manage("shop", "web", Settings(Path("/etc/shop")))


def test_a_refusal_of_the_project_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manage = answering("echo noise; echo 'refused: INSTALLED_APPS: lacks celery_ops'; exit 1", monkeypatch)
    with pytest.raises(ReleaseFailed, match=r"^INSTALLED_APPS: lacks celery_ops$"):
        verify(manage, tmp_path, "config.celery", "")
    assert not list(tmp_path.iterdir())


def test_any_other_failure_of_the_project_shows_its_last_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manage = answering("echo 'NameError: oops'; exit 1", monkeypatch)
    with pytest.raises(ReleaseFailed, match=r"^the project's check ended with 1\nNameError: oops$"):
        verify(manage, tmp_path, "config.celery", "")


def test_a_migration_that_an_aborted_run_left_behind_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manage = answering("echo 'Failed to start transient service unit: Unit x was already loaded'; exit 1", monkeypatch)
    with pytest.raises(ReleaseFailed) as failed:
        manage.run(tmp_path, "migrate", "--noinput")
    assert "wait until it ended (journalctl --follow --unit=shop-manage-migrate.service)" in str(failed.value)
    assert "\n" not in str(failed.value)


def test_a_database_that_was_emptied_or_is_another_is_migrated_again(
    project: Callable[..., Release], monkeypatch: pytest.MonkeyPatch
) -> None:
    release = project()
    release.built()
    applied: list[str] = []
    monkeypatch.setattr(Manage, "ask", lambda *_: "\n".join(applied))

    def migrate(*_: str) -> str:
        said = "No migrations to apply." if applied else "Applying shop.0001_initial... OK"
        applied[:] = ["shop 0001_initial"]
        return said

    monkeypatch.setattr(Manage, "run", migrate)
    assert not release.is_migrated()
    assert release.migrated()
    assert release.is_migrated()
    assert not release.migrated()
    applied.append("other 0001_initial")
    assert not release.is_migrated()
    assert not release.migrated(), "nothing was left to apply"
    applied.clear()
    assert release.migrated()


def test_a_database_that_does_not_say_what_was_applied_is_not_taken_for_migrated(
    project: Callable[..., Release], monkeypatch: pytest.MonkeyPatch
) -> None:
    release = project()
    release.built()

    def ask(*_: str) -> str:
        raise ReleaseFailed('relation "django_migrations" does not exist')

    monkeypatch.setattr(Manage, "ask", ask)
    monkeypatch.setattr(Manage, "run", lambda *_: "No migrations to apply.")
    assert not release.migrated()
    assert not release.is_migrated()


@pytest.fixture
def running(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Releases that every process of the host runs."""
    found = {"v1"}
    monkeypatch.setattr(WayBack, "all_run", lambda _, version: version in found)
    return found


@pytest.fixture
def host(tmp_path: Path, running: set[str]) -> Callable[..., Release]:
    """A host with three releases, of which v1 is current and runs; gives the one that is made current after it."""
    releases = Releases(tmp_path)
    for version in ("v1", "v2", "v3"):
        add(releases, version, 1)
    releases.switch("v1")
    releases.prove("v1")

    def made_current(version: str, **other: Any) -> Release:
        release = asked_for(tmp_path, version=version, **other)
        assert release.current()
        return release

    return made_current


def test_what_ran_is_what_is_gone_back_to(host: Callable[..., Release], running: set[str]) -> None:
    assert host("v2").facts()["before"] == "v1"
    # v2 was interrupted.
    release = host("v3")
    assert release.way_back.version() == "v1"
    assert not release.proven()
    running.add("v3")
    assert release.proven()
    assert release.way_back.version() is None
    assert not release.proven()
    # v2 runs, and nobody has proven yet that it does: it may be about to end again.
    host("v2")
    running.add("v2")
    assert host("v1").way_back.version() == "v3"


def test_nothing_leads_back_to_another_broker(host: Callable[..., Release]) -> None:
    host("v2")
    assert host("v3", way_back=False).way_back.version() is None


def test_a_rollback_withdraws_what_it_leaves(host: Callable[..., Release], running: set[str]) -> None:
    running.add("v2")
    host("v2").proven()
    release = host("v1", withdraw=True)
    assert release.way_back.version() == "v2"
    # Should v1 not come up, v2 is what is gone back to.
    assert release.releases.is_proven("v2")
    release.proven()
    assert release.releases.newest_first(PROVEN) == ["v1"]


def test_what_came_up_is_kept_before_what_did_not(releases: Releases) -> None:
    releases.prove("v1")
    assert releases.surplus(2, frozenset({"v4"})) == ["v2", "v3"]


def test_what_may_be_gone_back_to_is_not_removed(host: Callable[..., Release], running: set[str]) -> None:
    host("v2")
    release = host("v3", keep=1)
    assert release.facts()["surplus"] == ["v2"]
    running.add("v3")
    release.proven()
    assert release.facts()["surplus"] == ["v1", "v2"]


def test_a_release_that_is_on_the_host_needs_no_source(project: Callable[..., Release]) -> None:
    project(digest="one").built()
    assert not project(digest="").built()


def test_one_that_is_not_there_or_half_of_it_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ReleaseFailed, match="v5: the release is not there, or half of it; choose another"):
        asked_for(tmp_path, digest=None).built()


def test_a_login_that_changes_is_told(tmp_path: Path) -> None:
    fill(
        tmp_path,
        {"credentials/web/CELERY_BROKER_URL": "a", "credentials/web/KEY": "a", "credentials/web/DATABASE_URL": "a"},
    )
    staged = {"web/CELERY_BROKER_URL": "b", "web/KEY": "b", "web/DATABASE_URL": "a", "beat/CELERY_BROKER_URL": "b"}
    fill(tmp_path / "next/credentials", staged)
    assert Settings(tmp_path).changed_logins() == ["CELERY_BROKER_URL"]
