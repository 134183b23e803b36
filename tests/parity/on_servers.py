"""What the roles install for a description, read back as systemd, the app and the broker read it."""

from __future__ import annotations

import hashlib
import json
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar
from ansible_collections.stalk.celery.plugins.module_utils.rabbitmq_password import rabbitmq_password_hash

from tests.parity.derived import Derived, acl, address, calls, definitions, options, settings, site, terms
from tests.parity.descriptions import ROOT, SECRETS, USERS

ROLES = ROOT / "roles"
COMPONENTS = ("redis", "rabbitmq", "postgresql", "web", "worker", "beat", "flower")
GROUPS = {name: ["server"] for name in (*COMPONENTS, "all")}
UNITS = "/etc/systemd/system/"
# What the roles ask of the host: Debian 13, whose Redis has all that the chart's has.
FACTS = {"distribution_major_version": "13", "all_ipv6_addresses": ["::1"]}

Unit = dict[str, list[str]]
LOADER = DataLoader()


@cache
def load(path: Path) -> Any:
    return LOADER.load_from_file(str(path), trusted_as_template=True) if path.exists() else None


class Server:
    """A host of every group, after `site`; nothing is executed but Ansible's own templating."""

    def __init__(self, stack: Mapping[str, Any], state: Path, secrets: Mapping[str, str]) -> None:
        self.given = secrets
        self.stack = stack
        self.app = stack["app"]["name"]
        self.broker = stack["broker"]["component"]
        self.facts: dict[str, Any] = {
            "stack": stack,
            "groups": GROUPS,
            "group_names": list(COMPONENTS),
            "inventory_hostname": "server",
            "hostvars": {"server": {"inventory_hostname": "server"}},
            "stalk_state": str(state),
            "stalk_secrets": secrets,
            "ansible_check_mode": False,
            "ansible_facts": {**FACTS, "stack": stack},
        }
        self.facts["app_credentials"] = self.templar("app").template(self.variables("app")["app_credential_names"])
        self.leaves = next(iter(self.arguments("pki", "stalk.celery.leaves")))
        self.files = dict(self.installed())

    def variables(self, role: str) -> dict[str, Any]:
        own = [load(ROLES / role / part / "main.yml") or {} for part in ("defaults", "vars")]
        return {**own[0], **own[1], **self.facts, "ansible_search_path": [str(ROLES / role)]}

    def templar(self, role: str, **more: Any) -> Templar:
        return Templar(LOADER, {**self.variables(role), **more})

    def arguments(self, role: str, module: str) -> Iterator[Mapping[str, Any]]:
        """What the role's tasks give the module, of those whose conditions hold."""
        for task in self.tasks(role, module, load(ROLES / role / "tasks" / "main.yml")):
            yield self.templar(role, **task.get("vars", {})).template(task[module])

    def tasks(self, role: str, module: str, tasks: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
        for task in tasks:
            below = task.get("block", [])
            if "ansible.builtin.import_tasks" in task:
                below = load(ROLES / role / "tasks" / task["ansible.builtin.import_tasks"])
            found = [task] if module in task else list(self.tasks(role, module, below))
            if found and self.holds(role, task.get("when", [])):
                yield from found

    def holds(self, role: str, conditions: Any) -> bool:
        templar = self.templar(role)
        every = conditions if isinstance(conditions, list) else [conditions]
        return all(templar.evaluate_conditional(each) for each in every)

    def installed(self) -> Iterator[tuple[str, str]]:
        provisioned = [] if self.broker == "external" else [self.broker]
        for role in (*provisioned, "postgresql", "app", "worker", "beat", "flower", "web"):
            for given in self.arguments(role, "stalk.celery.folders"):
                for folder, content in given["folders"].items():
                    yield from ((f"{folder}/{name}", text) for name, text in content.get("files", {}).items())
            for given in self.arguments(role, "stalk.celery.units"):
                yield from ((f"{UNITS}{name}", text) for name, text in given["files"].items())

    def unit(self, name: str, instance: str = "") -> Unit:
        """The directives of a unit and of its drop-in, a later one after an earlier one."""
        own = f"{name}@{instance}" if instance else name
        texts = [self.files[f"{UNITS}{name}{'@' if instance else ''}.service"]]
        texts += [
            text
            for path, text in self.files.items()
            if path.startswith(f"{UNITS}{own}.service.d/") and path.endswith(".conf")
        ]
        found: Unit = {}
        for line in "\n".join(texts).splitlines():
            key, separator, value = line.partition("=")
            if separator and not line.startswith("#"):
                found.setdefault(key, []).append(expanded(value, instance))
        return found

    def environment(self, unit: Unit) -> dict[str, str]:
        """systemd.exec(5): files go over Environment=, later ones over earlier ones."""
        assignments = [each.split("=", 1) for line in unit.get("Environment", []) for each in shlex.split(line)]
        found = dict(assignments)
        for path in unit.get("EnvironmentFile", []):
            found |= environment_file(self.files[path])
        return found

    def secrets(self, unit: Unit) -> dict[str, Any]:
        places = dict(each.split(":", 1) for each in unit["LoadCredential"])
        del places["CELERY_TLS_KEY"]
        contents = {name: self.files[path] for name, path in places.items() if self.files[path]}
        return {name: "given" if text in self.given.values() else address(text) for name, text in contents.items()}

    def process(self, name: str, instance: str = "") -> Derived:
        unit = self.unit(f"{self.app}-{name}", instance)
        environment = self.environment(unit)
        arguments = environment.pop("CELERY_WORKER_ARGUMENTS", "")
        command = unit["ExecStart"][-1].replace("$CELERY_WORKER_ARGUMENTS", arguments)
        # in-release runs what follows the release in that release.
        found = {
            "command": options(shlex.split(command)[2:]),
            "environment": environment,
            "secrets": self.secrets(unit),
            "ends_within": int(unit["TimeoutStopSec"][-1]),
        }
        if "WatchdogSec" in unit:
            found["heartbeat_max_age"] = int(unit["WatchdogSec"][-1])
        if name == "worker":
            found["stop"] = [environment.pop("CELERY_STOP_SECONDS"), environment.pop("CELERY_STOP_SIGNAL")]
        return found

    def broker_as_read(self) -> Derived:
        name, folder = self.broker, f"/etc/{self.app}/{self.broker}"
        secrets = f"/etc/{self.app}/credentials/{self.broker}"
        live = {"redis": "reloadable.conf", "rabbitmq": "conf.d/reloadable.conf"}[name]
        found: Derived = {
            "settings": settings(self.files[f"{folder}/{name}.conf"]) | settings(self.files[f"{folder}/{live}"]),
            "ends_within": 60 * int(self.unit(f"{self.app}-{name}")["TimeoutStopSec"][-1].removesuffix("min")),
        }
        if name == "redis":
            return found | {
                "openssl": settings(self.files[f"{folder}/openssl.cnf"]),
                "users": acl(self.files[f"{secrets}/users.acl"], DIGESTS),
            }
        return found | {
            "tls": terms(self.files[f"{folder}/advanced.config"]),
            "plugins": self.files[f"{folder}/enabled_plugins"],
            "live": calls(self.files[f"{folder}/reloadable.erl"]),
            "definitions": definitions(self.files[f"{secrets}/definitions.json"], HASHES),
        }

    def derived(self) -> Derived:
        found: Derived = {f"worker {pool}": self.process("worker", pool) for pool in self.stack["pools"]}
        found |= {name: self.process(name) for name in ("web", "beat", "flower") if self.stack[name]["enabled"]}
        if "flower" in found:
            found["flower"]["options"] = json.loads(self.files[f"/etc/{self.app}/flower.json"])
            found["flower"]["program"] = self.files[f"/etc/{self.app}/flower.py"]
        if "web" in found:
            found["web"]["site"] = site(self.files["/etc/nginx/nginx.conf"], self.stack["web"]["host"])
        if self.broker != "external":
            found[self.broker] = self.broker_as_read()
        if self.stack["database"]["kind"] == "embedded":
            folder = f"/etc/{self.app}/postgresql"
            main = next(text for text in self.files.values() if "max_connections" in text)
            found["postgresql"] = {
                "settings": settings(main),
                "access": [
                    line.split() for line in self.files[f"{folder}/pg_hba.conf"].splitlines() if line[:1] != "#"
                ],
            }
        found["certificates"] = {
            "lifetime": str(self.leaves["lifetime"]),
            "rotate_before": str(self.leaves["rotate_before"]),
            "usages": {leaf["name"]: leaf["usages"] for leaf in self.leaves["leaves"]},
        }
        return found


HASHES = {rabbitmq_password_hash(SECRETS[name], user): name for user in USERS for name in [f"RABBITMQ_PASSWORD_{user}"]}
DIGESTS = {hashlib.sha256(text.encode()).hexdigest(): text for text in SECRETS.values()}


def expanded(value: str, instance: str) -> str:
    """systemd.unit(5), "Specifiers"; of those that a container knows too, the host's name stays."""
    found = {"%i": instance, "%d": "/run/credentials", "%t": "/run", "%%": "%", "%H": "%H"}
    return re.sub("%.", lambda match: found[match[0]], value)


def environment_file(text: str) -> dict[str, str]:
    lines = [line.split("=", 1) for line in text.splitlines() if line and not line.startswith("#")]
    return {name: re.sub(r"\\(.)", r"\1", value[1:-1]) for name, value in lines}
