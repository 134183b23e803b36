"""`make conformance`: runs Celery's own integration suite against brokers that Stalk's roles provisioned, over TLS,
beside the same brokers without; fails on any difference, and on any failure that tests/conformance/known.yml does not
explain.

What it saw stays in build/conformance/: result.md, and a folder for each run with the log and outcomes of each file.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import shutil
import signal
import ssl
import subprocess
import sys
import tarfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from urllib.parse import urlencode

from conformance_verdict import (
    FAILED,
    FOLDER,
    RUNS,
    Outcome,
    Outcomes,
    problems,
    read_known,
    read_outcomes,
    reasons,
    table,
)
from terminal import say

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "molecule"))
from resources.certificates import Authority  # noqa: E402

BUILD = ROOT / "build" / "conformance"
SUITE = ROOT / "tests" / "conformance"
INVENTORY = SUITE / "inventory"
STATE = INVENTORY / ".stalk"
SOURCE = SUITE / "source.txt"
REQUIREMENTS = ROOT / "sample_app" / "requirements.txt"
PAGE = ROOT / "docs" / "conformance.md"
HEADING = "## Result\n"
BIN = ROOT / ".venv-conformance" / "bin"
SERVER = "stalk-conformance"
VHOST = "conformance"
# Of the source, what the suite itself is: Celery comes from the wheel that apps have.
PARTS = re.compile(rf"t/(__init__|skip|canvas_helpers)\.py|{FOLDER}.*|pyproject\.toml")
# Files that ask no broker of Stalk's: they want Azure or memcached, or write files.
OTHERS = ("test_backend.py", "test_cache_backend.py", "test_logfile_format.py", "test_upgrade.py")
# Far more than a file needs; a worker that hangs shall not hold up the rest for ever.
SECONDS = 600
MORE_SECONDS = {"test_canvas.py": 2400, "test_tasks.py": 1200}
ATTEMPTS = 2
# Of pytest: all passed, some failed, none is there.
ENDED = (0, 1, 5)


class ConformanceFailed(Exception):
    """A message for the person who ran it."""


@dataclass(frozen=True)
class Brokers:
    """The provisioned brokers and their peers, all on one server."""

    address: str
    ca: Path
    certificate: Path
    key: Path

    @classmethod
    def provision(cls) -> Brokers:
        say(f"Starting the server {SERVER}, a container with systemd")
        play("molecule/resources/servers/create.yml")
        say("Provisioning Redis and RabbitMQ on it: tests/conformance/brokers.yml")
        play("tests/conformance/brokers.yml")
        template = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
        authority = Authority.read(STATE / "pki", secret("PKI_CA_PASSPHRASE"))
        certificate, key = authority.leaf("suite").write(BUILD, "suite")
        key.chmod(0o600)
        address = output("docker", "inspect", "--format", template, SERVER)
        return cls(address, STATE / "pki" / "ca.crt", certificate, key)

    @staticmethod
    def remove() -> None:
        say(f"Removing the server {SERVER} and its secrets")
        play("molecule/resources/servers/destroy.yml")

    def redis(self, broker: str, link: str) -> str:
        """Each broker has a Redis of its own for the results; the suite counts its channels."""
        port = {"redis": 6379, "rabbitmq": 6381}[broker]
        if link == "plain":
            return f"redis://{self.address}:{port + 1}/0"
        tls = {
            "ssl_cert_reqs": "required",
            "ssl_ca_certs": self.ca,
            "ssl_certfile": self.certificate,
            "ssl_keyfile": self.key,
        }
        return f"rediss://suite:{secret('REDIS_PASSWORD_suite')}@{self.address}:{port}/0?{urlencode(tls)}"

    def rabbitmq(self, link: str) -> str:
        if link == "plain":
            return f"amqp://guest:guest@{self.address}:5672/{VHOST}"
        return f"amqps://suite:{secret('RABBITMQ_PASSWORD_suite')}@{self.address}:5671/{VHOST}"

    def configuration(self, broker: str, link: str) -> dict[str, object]:
        """What the suite reads besides its two URLs. The queue of a stack is a quorum queue behind a topic exchange."""
        if broker == "redis":
            return {}
        tls = {
            "cert_reqs": ssl.CERT_REQUIRED,
            "ca_certs": str(self.ca),
            "certfile": str(self.certificate),
            "keyfile": str(self.key),
            "server_hostname": self.address,
        }
        return {
            "task_default_queue_type": "quorum",
            "task_default_exchange_type": "topic",
            "broker_transport_options": {"confirm_publish": True},
            **({"broker_use_ssl": tls} if link == "tls" else {}),
        }

    @cached_property
    def versions(self) -> dict[str, str]:
        def asked(command: str, pattern: str) -> str:
            found = re.search(pattern, output("docker", "exec", SERVER, *command.split()))
            return found[1] if found else "of unknown version"

        return {
            "Celery": pinned("celery"),
            "kombu": pinned("kombu"),
            "redis-py": pinned("redis"),
            "py-amqp": pinned("amqp"),
            "Redis": asked("redis-server --version", r"v=([0-9.]+)"),
            "RabbitMQ": asked("/usr/lib/rabbitmq/bin/rabbitmqctl version", r"([0-9.]+)"),
        }


class Run:
    """The suite against one broker over one kind of connection, a process of pytest for each of its files."""

    def __init__(self, name: str, brokers: Brokers, source: Path) -> None:
        self.name = name
        self.folder = BUILD / name
        self.outcomes: Outcomes = {}
        broker, link = name.split("-")
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        extract(source, self.folder)
        configuration = self.folder / "integration-tests-config.json"
        configuration.write_text(json.dumps(brokers.configuration(broker, link), indent=2))
        redis = brokers.redis(broker, link)
        self.environment = {
            **os.environ,
            "PATH": f"{BIN}:{os.environ['PATH']}",
            "PYTHONPATH": f"{SUITE}:{ROOT / 'sample_app'}",
            # As Celery's own tox.ini has it; tests look for what a worker logs.
            "WORKER_LOGLEVEL": "INFO",
            "TEST_BROKER": redis if broker == "redis" else brokers.rabbitmq(link),
            "TEST_BACKEND": redis,
            "CONFORMANCE_REDIS": redis,
        }

    def files(self) -> list[str]:
        return sorted(file.name for file in (self.folder / FOLDER).glob("test_*.py") if file.name not in OTHERS)

    def run(self, only: str | None) -> None:
        for file in self.files() if only is None else [only]:
            started = time.monotonic()
            found = self.run_file(file)
            self.outcomes |= found
            count = sum(outcome.outcome == "passed" for outcome in found.values())
            failed = sum(outcome.outcome == FAILED for outcome in found.values())
            seconds = time.monotonic() - started
            print(f"    {self.name:<14} {file:<42} {count:>4} passed {failed:>3} failed {seconds:>5.0f} s", flush=True)

    def run_file(self, file: str) -> Outcomes:
        """A test that fails is tried again by itself, with a worker of its own."""
        noted = self.folder / f"{file}.jsonl"
        cut_short = self.pytest(file, noted, [f"{FOLDER}{file}"])
        found = self.outcomes_in(noted)
        for _ in range(ATTEMPTS - 1):
            if failed := [f"{FOLDER}{test}" for test, outcome in found.items() if outcome.outcome == FAILED]:
                self.pytest(file, noted, failed)
                found = self.outcomes_in(noted)
        # Tests that never began are in no outcome.
        return {**found, file: Outcome(FAILED, cut_short)} if cut_short else found

    @staticmethod
    def outcomes_in(noted: Path) -> Outcomes:
        return read_outcomes(noted.read_text().splitlines() if noted.exists() else [], "began and did not end")

    def pytest(self, file: str, noted: Path, tests: list[str]) -> str:
        """Why it did not come to its end; empty when it did."""
        seconds = MORE_SECONDS.get(file, SECONDS)
        plugins = ["-p", "celery.contrib.pytest", "-p", "suite_plugin", "-p", "no:cacheprovider"]
        with (self.folder / f"{file}.log").open("a") as log:
            process = subprocess.Popen(
                [str(BIN / "python"), "-m", "pytest", *plugins, "-vv", *tests],
                cwd=self.folder,
                env={**self.environment, "CONFORMANCE_OUTCOMES": str(noted)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                process.wait(seconds)
            except subprocess.TimeoutExpired:
                return f"was ended after {seconds} s"
            finally:
                end(process)
        return "" if process.returncode in ENDED else f"ended with {process.returncode}; its log says why"


def end(process: subprocess.Popen[bytes]) -> None:
    """The worker's processes are of the same group, and may outlive it."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def play(playbook: str) -> None:
    """Runs a playbook on the brokers' inventory; its output goes to build/conformance/ansible.log."""
    BUILD.mkdir(parents=True, exist_ok=True)
    log = BUILD / "ansible.log"
    command = [str(Path(sys.executable).with_name("ansible-playbook")), "--inventory", str(INVENTORY), playbook]
    with log.open("a") as lines:
        broken = subprocess.run(command, cwd=ROOT, stdout=lines, stderr=subprocess.STDOUT, check=False).returncode
    if broken:
        raise ConformanceFailed(f"{playbook} failed; {log.relative_to(ROOT)} says why:\n{log.read_text()[-1500:]}")


def output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def secret(name: str) -> str:
    return (STATE / "secrets" / name).read_text().rstrip("\n")


def pinned(package: str) -> str:
    found = re.search(rf"^{package}==(\S+)", REQUIREMENTS.read_text(), re.MULTILINE)
    if not found:
        raise ConformanceFailed(f"{REQUIREMENTS.relative_to(ROOT)}: pins no {package}; run `make lock`")
    return found[1]


def fetch_source() -> Path:
    """The source of the pinned Celery, from the package index by pip."""
    version, stated = pinned("celery"), SOURCE.read_text()
    if f"celery=={version} --hash" not in stated:
        raise ConformanceFailed(
            f"{SOURCE.relative_to(ROOT)}: is of another Celery than {version}; write its version and its source's hash"
        )
    archive = ROOT / ".cache" / "conformance" / f"celery-{version}.tar.gz"
    if not archive.exists():
        say(f"Fetching the source of Celery {version}")
        fetching = [
            "download",
            "--quiet",
            "--no-deps",
            "--no-binary=celery",
            "--require-hashes",
            f"--requirement={SOURCE}",
        ]
        done = subprocess.run(
            [str(BIN / "pip"), *fetching, f"--dest={archive.parent}"], capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise ConformanceFailed(f"pip could not fetch it:\n{done.stderr[-1500:]}")
    return archive


def extract(source: Path, folder: Path) -> None:
    with tarfile.open(source) as archive:
        for member in archive:
            member.name = member.name.partition("/")[2]
            if PARTS.fullmatch(member.name):
                archive.extract(member, folder, filter="data")


def conform(arguments: argparse.Namespace) -> int:
    source = fetch_source()
    brokers = Brokers.provision()
    say(f"Running the suite of Celery {pinned('celery')}; logs in {BUILD.relative_to(ROOT)}")
    runs = {name: Run(name, brokers, source) for name in arguments.runs or RUNS}

    with ThreadPoolExecutor(len(RUNS)) as pool:
        list(pool.map(lambda run: run.run(arguments.file), runs.values()))
    outcomes = {name: run.outcomes for name, run in runs.items()}
    known = read_known(SUITE / "known.yml")
    result = "\n".join([*table(outcomes, brokers.versions), *reasons(known)])
    (BUILD / "result.md").write_text(result + "\n")
    print(f"\n{result}\n")
    wrong = problems(outcomes, known)
    if arguments.file:
        # The other files' entries do not count.
        wrong = [line for line in wrong if f" {arguments.file}" in line or "no test ran" in line]
    for line in wrong:
        print(f"  ! {line}")
    if arguments.docs and not wrong:
        above, heading, _ = PAGE.read_text().partition(HEADING)
        PAGE.write_text(f"{above}{heading}\n{result}\n")
    print("Every difference and failure is explained" if not wrong else f"{len(wrong)} not explained")
    return 1 if wrong else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="*", metavar="RUN", help=f"which runs, all by default: {', '.join(RUNS)}")
    parser.add_argument("--file", help="one file of the suite alone")
    parser.add_argument("--keep", action="store_true", help="leave the brokers running")
    parser.add_argument("--docs", action="store_true", help=f"write the result into {PAGE.relative_to(ROOT)}")
    arguments = parser.parse_args()
    if unknown := set(arguments.runs) - set(RUNS):
        parser.error(f"unknown run {', '.join(sorted(unknown))}; choose from {', '.join(RUNS)}")
    if arguments.docs and (arguments.runs or arguments.file):
        parser.error("--docs wants the whole suite; leave RUN and --file out")
    try:
        try:
            return conform(arguments)
        finally:
            if not arguments.keep:
                Brokers.remove()
    except ConformanceFailed as error:
        print(f"conformance: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
