"""The chart's script that hands a running RabbitMQ its rules, with a command line that notes what it is told."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pytest
import yaml

from tests.helm import CHART, helm

SCRIPTS = CHART / "files" / "rabbitmq"
SECONDS = 30
RABBITMQCTL = """#!/bin/sh
case $2 in
import_definitions) cat "$3" >>"$TOLD"; echo , >>"$TOLD" ;;
eval) printf '%s' "$3" >"$TOLD.evaluated"; echo ok ;;
esac
"""
SHORT_SLEEP = "#!/bin/sh\nexec /bin/sleep 0.1\n"
# A queue with a dot leaves a pool that stays, and a pool leaves.
BEFORE = {
    "app": {"queues": ["a.b", "high"]},
    "pools": {"default": {"queues": ["celery", "a.b"]}, "high": {"queues": ["high"]}},
}
AFTER = {"pools": {"default": {"queues": ["celery"]}}}


class Pod:
    """What the container of RabbitMQ has, in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.told = folder / "told"
        for name in ("bin", "scripts", "etc/tls", "etc/passwords", "run"):
            (folder / name).mkdir(parents=True)
        for name, text in (("rabbitmqctl", RABBITMQCTL), ("sleep", SHORT_SLEEP)):
            self.program(f"bin/{name}", text)
        for name in ("follow", "definitions"):
            text = (SCRIPTS / name).read_text()
            text = text.replace("/etc/stalk", f"{folder}/etc").replace("/run/stalk", f"{folder}/run")
            self.program(f"scripts/{name}", text)
        for user in ("web", "beat", "worker", "flower", "queues"):
            self.write(f"passwords/{user}", f"digest/of+{user}=")
        self.renew("first")

    def program(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text)
        (self.folder / name).chmod(0o755)

    def write(self, name: str, text: str) -> None:
        """At once, as the kubelet does it."""
        new = self.folder / "new"
        new.write_text(text)
        new.rename(self.folder / "etc" / name)

    def renew(self, certificate: str) -> None:
        self.write("tls/tls.crt", certificate)

    def describe(self, values: dict[str, Any]) -> None:
        (self.folder / "stack.yml").write_text(yaml.safe_dump({"broker": {"kind": "rabbitmq"}, **values}))
        done = helm(
            "template",
            "shop",
            CHART,
            "--values",
            self.folder / "stack.yml",
            "--show-only",
            "templates/rabbitmq/configmap.yaml",
        )
        assert done.returncode == 0, done.stderr
        _, live = yaml.safe_load_all(done.stdout)
        mounted = Path(mkdtemp(dir=self.folder))
        for name, text in live["data"].items():
            (mounted / name).write_text(text)
        (self.folder / "new").symlink_to(mounted)
        (self.folder / "new").rename(self.folder / "etc" / "rabbitmq-live")

    def imported(self) -> list[dict[str, Any]]:
        """All that was imported since it was asked last, once everything was told that has to be."""
        evaluated = Path(f"{self.told}.evaluated")
        deadline = time.monotonic() + SECONDS
        while not evaluated.exists():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        found: list[dict[str, Any]] = json.loads(f"[{self.told.read_text().rstrip(', ' + chr(10))}]")
        self.said = evaluated.read_text()
        self.told.unlink()
        evaluated.unlink()
        return found

    def kept(self, what: str) -> set[str]:
        """The names in a list of Erlang's that it was told last."""
        match = re.search(rf"{what} = \[(.*?)\]", self.said)
        assert match
        return set(re.findall('<<"(.*?)">>', match[1]))


@pytest.fixture
def pod(tmp_path: Path) -> Pod:
    return Pod(tmp_path)


@pytest.fixture
def follow(pod: Pod) -> Iterator[Callable[[], None]]:
    started = []

    def start() -> None:
        variables = {"PATH": f"{pod.folder}/bin:{os.environ['PATH']}", "TOLD": str(pod.told)}
        command = ["sh", f"{pod.folder}/scripts/follow"]
        started.append(subprocess.Popen(command, env=variables, start_new_session=True, stdout=subprocess.DEVNULL))

    yield start
    for process in started:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def rights(definitions: dict[str, Any], user: str) -> Callable[[str], bool]:
    (own,) = [each for each in definitions["permissions"] if each["user"] == user]
    assert own["configure"] == own["write"] == own["read"]
    return lambda name: bool(re.search(own["write"], name))


def test_what_other_rules_take_away_stays_until_they_change_again(pod: Pod, follow: Callable[[], None]) -> None:
    pod.describe(BEFORE)
    follow()
    (first,) = pod.imported()
    assert rights(first, "web")("a.b")
    assert {user["password_hash"] for user in first["users"]} >= {"digest/of+web="}
    assert pod.kept("Policies") == {"@dead", "default", "high"}

    pod.describe({**AFTER, "flower": {"enabled": False}})
    kept, now = pod.imported()
    may_send, may_watch = rights(now, "web"), rights(now, "worker")
    assert all(map(may_send, ("celery", "a.b", "high", "celeryev")))
    assert not any(map(may_send, ("axb", "other", "high2", "@dead", "")))
    assert may_watch("high")
    assert not rights(now, "queues")("high")
    assert [(each["name"], each["pattern"], each["priority"]) for each in now["policies"]] == [
        ("default", "^(celery)$", 0),
        ("@dead", "^@dead[.]", 0),
    ]
    assert [(each["name"], each["pattern"], each["priority"]) for each in kept["policies"]] == [
        ("before default", "^(celery|a[.]b)$", -1),
        ("before high", "^(high)$", -1),
        ("before @dead", "^@dead[.]", -1),
    ]
    assert [each["definition"] for each in kept["policies"]] == [each["definition"] for each in first["policies"]]
    assert list(kept) == ["policies"]
    assert pod.kept("Policies") == {"@dead", "default", *(f"before {name}" for name in ("@dead", "default", "high"))}
    assert pod.kept("Users") == {"web", "beat", "worker", "flower", "queues"}

    # A renewed certificate is no other rule.
    pod.renew("second")
    assert pod.imported() == [kept, now]
    assert pod.kept("Policies") == {"@dead", "default", *(f"before {name}" for name in ("@dead", "default", "high"))}

    pod.describe({**AFTER, "flower": {"enabled": False}, "broker": {"kind": "rabbitmq", "delivery_limit": 7}})
    _, last = pod.imported()
    assert not any(map(rights(last, "web"), ("a.b", "high")))
    assert rights(last, "web")("celery")
    assert pod.kept("Policies") == {"@dead", "default", "before @dead", "before default"}
    assert pod.kept("Users") == {"web", "beat", "worker", "queues"}


def test_who_has_no_password_stays(pod: Pod, follow: Callable[[], None]) -> None:
    """Where certificates log in."""
    pod.describe({"broker": {"kind": "rabbitmq", "login": "certificate"}})
    follow()
    (told,) = pod.imported()
    assert {user["name"]: user["password_hash"] for user in told["users"]}["worker"] == ""
    assert pod.kept("Users") == {"web", "worker", "beat", "flower", "queues"}


def test_a_pod_that_starts_anew_takes_the_rest_away(pod: Pod, follow: Callable[[], None]) -> None:
    pod.describe(AFTER)
    follow()
    (only,) = pod.imported()
    assert not rights(only, "web")("high")
    assert pod.kept("Policies") == {"@dead", "default"}
