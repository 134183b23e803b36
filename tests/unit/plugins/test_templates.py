"""The roles' templates carry every value of a description to the host as it is."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from base64 import b64decode
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from bad_descriptions import ROOT
from pems import make

ANSIBLE_PLAYBOOK = Path(sys.executable).with_name("ansible-playbook")
GROUPS = ("redis", "rabbitmq", "postgresql", "web", "worker", "beat", "flower")

GREETING = "Hello 🎉 \"you\" & 'me' \\ #: [é] {%\u00a0$HOME"
SECRET = 'two 🎉 lines "of"\n\tit\u2028\u0085\x7f\\'
PASSWORD = "🎉'\": {#"
STACK = {
    "app": {"env": {"GREETING": GREETING}, "queues": ["io"], "secrets": ["DJANGO_SECRET_KEY", "NOTE"]},
    "pools": {
        "default": {"concurrency": "auto", "env": {"POOL_GREETING": GREETING}},
        "io": {"pool": "threads", "concurrency": 100, "queues": ["io"]},
    },
    "servers": {"extra_ca": "extra.crt"},
}
EXPRESSIONS = {
    "app": {
        "folders": "lookup('ansible.builtin.template', 'folders.json.j2') | from_json",
        "credentials": "lookup('ansible.builtin.template', 'credentials.json.j2') | from_json",
    },
    "worker": {"units": "lookup('ansible.builtin.template', 'units.yml.j2') | from_yaml"},
    "beat": {"units": "lookup('ansible.builtin.template', 'units.yml.j2') | from_yaml"},
    "redis": {
        "folders": "lookup('ansible.builtin.template', 'folders.yml.j2') | from_yaml",
        "secrets": "lookup('ansible.builtin.template', 'secret_folders.yml.j2') | from_yaml",
    },
    "rabbitmq": {"secrets": "lookup('ansible.builtin.template', 'secret_folders.yml.j2') | from_yaml"},
    "postgresql": {"connections": "postgresql_max_connections"},
}

Templated = dict[str, dict[str, Any]]


def play(folder: Path, role: str) -> dict[str, Any]:
    """Templates as the role's own tasks do, and writes what came out."""
    source = ROOT / "roles" / role
    for part in ("templates", "files"):
        if (source / part).exists():
            (folder / role / part).symlink_to(source / part)
    return {
        "hosts": "all",
        "gather_facts": False,
        "vars_files": [str(path) for path in (source / "defaults/main.yml", source / "vars/main.yml") if path.exists()],
        "vars": {"app_credentials": {"worker": ["NOTE"], "beat": ["NOTE"]}},
        "tasks": [
            {"stalk.celery.stack": {"files": [str(folder / "stack.yml")]}},
            {
                "ansible.builtin.copy": {
                    "content": {name: f"{{{{ {expression} }}}}" for name, expression in EXPRESSIONS[role].items()},
                    "dest": str(folder / f"{role}.json"),
                    "mode": "0600",
                }
            },
        ],
    }


@pytest.fixture(scope="module")
def templated(tmp_path_factory: pytest.TempPathFactory) -> Templated:
    folder = tmp_path_factory.mktemp("templates")
    (folder / "stack.yml").write_text(yaml.safe_dump(STACK))
    make(authority=True, end=datetime.now(UTC) + timedelta(days=300)).write(folder, "extra")
    (folder / "state/secrets").mkdir(parents=True)
    for name, secret in (("NOTE", SECRET), ("REDIS_PASSWORD_status", PASSWORD), ("RABBITMQ_PASSWORD_status", PASSWORD)):
        (folder / "state/secrets" / name).write_text(secret, newline="")
    inventory = {name: {"hosts": {"one": {"ansible_connection": "local"}}} for name in GROUPS}
    (folder / "hosts.yml").write_text(yaml.safe_dump(inventory))
    for role in EXPRESSIONS:
        (folder / role).mkdir()
        (folder / role / "play.yml").write_text(yaml.safe_dump([play(folder, role)]))
    given = {
        "stalk_state": str(folder / "state"),
        "redis_knows_setinfo": True,
        "ansible_python_interpreter": sys.executable,
    }
    run = subprocess.run(
        [ANSIBLE_PLAYBOOK, "-i", "hosts.yml", "-e", json.dumps(given), *(f"{role}/play.yml" for role in EXPRESSIONS)],
        cwd=folder,
        env={**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    return {role: json.loads((folder / f"{role}.json").read_text()) for role in EXPRESSIONS}


def in_unit(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"')


def test_a_variable_of_the_app(templated: Templated) -> None:
    environment = templated["app"]["folders"]["/etc/shop"]["files"]["worker.env"]
    assert f'GREETING="{in_unit(GREETING).replace("$", chr(92) + "$")}"\n' in environment


def test_a_variable_of_a_pool(templated: Templated) -> None:
    files = templated["worker"]["units"]["files"]
    drop_ins = "shop-worker@default.service.d"
    assert files[f"{drop_ins}/pool.env"] == f'POOL_GREETING="{in_unit(GREETING).replace("$", chr(92) + "$")}"\n'
    assert f"EnvironmentFile=/etc/systemd/system/{drop_ins}/pool.env\n" in files[f"{drop_ins}/pool.conf"]


def test_a_reboot_waits_for_the_longest_drain(templated: Templated) -> None:
    units = templated["worker"]["units"]
    assert units["files"]["reboot.target.d/shop.conf"] == "[Unit]\nJobTimeoutSec=2130\n"
    assert "reboot.target.d/shop.conf" in units["exactly"]


def test_a_secret(templated: Templated) -> None:
    files = templated["app"]["credentials"]["/etc/shop/credentials"]["files"]
    assert {name: files[name] for name in files if name.endswith("/NOTE")} == {
        f"{component}/NOTE": SECRET for component in ("web", "worker", "beat", "flower")
    }


def test_a_password_of_redis(templated: Templated) -> None:
    files = templated["redis"]["secrets"]["/etc/shop/credentials/status"]["files"]
    assert files == {"REDIS_PASSWORD_status": PASSWORD + "\n"}


def test_the_definitions_of_rabbitmq(templated: Templated) -> None:
    secrets = templated["rabbitmq"]["secrets"]
    assert secrets["/etc/shop/credentials/status"]["files"] == {"RABBITMQ_PASSWORD_status": PASSWORD + "\n"}
    definitions = json.loads(secrets["/etc/shop/credentials/rabbitmq"]["files"]["definitions.json"])
    status = next(user for user in definitions["users"] if user["name"] == "status")
    salted = b64decode(status["password_hash"])
    assert salted[4:] == hashlib.sha256(salted[:4] + PASSWORD.encode()).digest()
    assert len({user["password_hash"] for user in definitions["users"]}) == len(definitions["users"]) == 6
    rights = {each["user"]: each for each in definitions["permissions"]}
    assert rights["status"]["read"] == "^$"
    policies = {each["name"]: each for each in definitions["policies"]}
    assert re.match(policies["@dead"]["pattern"], "@dead.io")
    assert policies["@dead"]["definition"] == {"delivery-limit": 10**9}
    assert rights["operator"]["configure"] == "^$"
    for name, allowed in (("@dead.io", True), ("io", False), ("@dead", False)):
        assert bool(re.fullmatch(rights["operator"]["read"], name)) is allowed, name
        assert bool(re.fullmatch(rights["operator"]["write"], name)) is (name == "io"), name
    for name, allowed in (("io", True), ("celery", True), ("iox", False), ("a.io", False), ("@dead.io", False)):
        assert bool(re.fullmatch(rights["worker"]["configure"], name)) is allowed, name


def test_scripts_and_certificates(templated: Templated) -> None:
    folders = templated["app"]["folders"]
    for script in ("in-release", "stop-celery"):
        assert folders["/usr/local/lib/shop"]["files"][script] == (ROOT / "roles/app/files" / script).read_text()
    assert "BEGIN CERTIFICATE" in folders["/usr/local/share/ca-certificates"]["files"]["shop.crt"]


def test_the_database_has_connections_for_as_many_processes_as_there_are_cpus(templated: Templated) -> None:
    assert int(templated["postgresql"]["connections"]) == 400
