from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
from ansible_collections.stalk.celery.plugins.module_utils.releases import (
    COMPLETE,
    Manage,
    ReleaseFailed,
    Releases,
    run,
)


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
    command = Manage("shop", "web", tmp_path).command(Path("/srv/shop/releases/v1"), ["migrate"], {"A": "b"})
    assert f"--property=LoadCredential=DATABASE_URL:{tmp_path}/credentials/web/DATABASE_URL" in command
    assert "PGSSLKEY=/run/credentials/shop-manage-migrate.service/CELERY_TLS_KEY" in command
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


def test_a_full_disk_has_its_own_message(tmp_path: Path) -> None:
    from ansible_collections.stalk.celery.plugins.modules.release import Release, explain

    parameters = {
        "version": "v5", "keep": 3, "database": None, "archive": None, "certificates": None,
        "root": str(tmp_path), "app": "shop", "component": "web", "settings": str(tmp_path),
    }  # fmt: skip
    release = Release(parameters, dry=False)
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
