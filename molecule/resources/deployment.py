"""The deployed system under test: its servers, secrets, shop and database, and further runs of the site playbook."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import tempfile
import textwrap
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import testinfra
import yaml
from ansible_collections.stalk.celery.plugins.module_utils.tls_files import tls_variables
from resources.cell import cell_of
from resources.certificates import Authority
from resources.effects import Effects
from resources.waiting import wait_for
from storefront import Shop
from testinfra.host import Host

VARIABLE = re.compile(r"\{\{ lookup\('ansible\.builtin\.env', '(\w+)'(?:, default='(\w+)')?\) \}\}")


@dataclass(frozen=True)
class Run:
    """One run of a playbook."""

    rc: int
    output: str

    @property
    def changed(self) -> int:
        return sum(map(int, re.findall(r"\bchanged=(\d+)", self.output)))

    @property
    def message(self) -> str:
        """What the failed task says, without the heading over a list of reasons."""
        failed = re.search(r"^fatal: \[.*?\]: FAILED! => ?\n((?:    .*\n|\n)+)", self.output, re.MULTILINE)
        assert failed, self.output
        message: str = yaml.safe_load(textwrap.dedent(failed[1]))["msg"]
        heading, _, reasons = message.partition("\n")
        return (reasons if heading.endswith("nothing was changed.") else message).strip()


class Server:
    """One host of the inventory, which is a container here."""

    def __init__(self, name: str, container: str) -> None:
        self.name = name
        self.container = container
        self.shell: Host = testinfra.get_host(f"docker://{container}")

    def __repr__(self) -> str:
        return self.name

    def run(self, *command: str, stdin: str | bytes = b"") -> str:
        """The output of a command that root runs there and that must succeed."""
        done = self.attempt(*command, stdin=stdin)
        assert done.returncode == 0, (
            f"{shlex.join(command)} on {self}: rc {done.returncode}\n{done.stdout}{done.stderr}"
        )
        return done.stdout

    def attempt(self, *command: str, stdin: str | bytes = b"") -> subprocess.CompletedProcess[str]:
        data = stdin if isinstance(stdin, str) else stdin.decode()
        return subprocess.run(
            ["docker", "exec", "-i", self.container, *command], input=data, capture_output=True, text=True, check=False
        )

    def python(self, script: Path, question: Any) -> Any:
        """What a script of this folder answers there, JSON in and JSON out."""
        done = self.attempt("python3", "-c", script.read_text(), stdin=json.dumps(question))
        assert done.returncode == 0, f"{script.name} on {self}: {done.stderr}"
        return json.loads(done.stdout)

    def release_python(self, app: str, script: Path, question: Any) -> Any:
        """The same by the Python of the app's release, which has its packages."""
        command = [f"/usr/local/lib/{app}/in-release", f"/srv/{app}/current", "python", "-c", script.read_text()]
        done = self.attempt(*command, stdin=json.dumps(question))
        assert done.returncode == 0, f"{script.name} on {self}: {done.stderr}"
        return json.loads(done.stdout)

    def property(self, unit: str, name: str) -> str:
        return self.run("systemctl", "show", "--property", name, "--value", unit).strip()

    def is_active(self, unit: str) -> bool:
        running: bool = self.shell.service(unit).is_running
        return running

    def units(self, *patterns: str) -> list[str]:
        listed = self.run("systemctl", "list-units", "--all", "--plain", "--no-legend", *patterns)
        return [line.split()[0] for line in listed.splitlines()]

    def invocations(self, *patterns: str) -> dict[str, str]:
        """Each running unit and the id of this run of it, which a restart changes."""
        units = self.units("--state=active", *patterns)
        ids = self.run("systemctl", "show", "--property=InvocationID", "--value", *units).split() if units else []
        return dict(zip(units, ids, strict=True))

    def kill(self, unit: str) -> None:
        """Ends its main process, and waits until systemd has started another."""
        before = self.property(unit, "MainPID")
        self.run("systemctl", "kill", "--signal=SIGKILL", unit)
        wait_for(
            f"systemd starts {unit} again",
            lambda: self.property(unit, "MainPID") not in (before, "0") and self.is_active(unit),
        )

    @cached_property
    def address(self) -> str:
        template = "{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}"
        inspected = subprocess.run(
            ["docker", "inspect", "--format", template, self.container], capture_output=True, text=True, check=True
        )
        return inspected.stdout.split()[0]

    def restart(self) -> None:
        self.__dict__.pop("address", None)
        subprocess.run(["docker", "restart", "--time=30", self.container], capture_output=True, check=True)


class Deployment(Effects):
    """Everything that the scenario deployed."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        self.root = Path(environment["MOLECULE_PROJECT_DIRECTORY"])
        self.scenario = Path(environment["MOLECULE_SCENARIO_DIRECTORY"])
        self.scratch = Path(environment["MOLECULE_EPHEMERAL_DIRECTORY"])
        config = yaml.safe_load(Path(environment["MOLECULE_FILE"]).read_text())
        self.inventory_file = self.scenario / "inventory" / "hosts.yml"
        self.inventory_arguments: list[str] = config["ansible"]["executor"]["args"]["ansible_playbook"]
        self.environment = {
            **environment,
            **config["ansible"]["env"],
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_FORCE_COLOR": "0",
        }
        self.app = "shop"

    @cached_property
    def inventory(self) -> dict[str, Any]:
        listed = subprocess.run(
            ["ansible-inventory", *self.inventory_arguments, "--list"],
            cwd=self.scenario,
            env=self.environment,
            capture_output=True,
            text=True,
            check=True,
        )
        inventory: dict[str, Any] = json.loads(listed.stdout)
        return inventory

    @cached_property
    def servers(self) -> dict[str, Server]:
        names = self.inventory["_meta"]["hostvars"]
        return {name: Server(name, names[name].get("server_prefix", "") + name) for name in sorted(names)}

    def place(self, **groups: Iterable[str]) -> None:
        """Goes on with these hosts in these groups; who is in none any more has left the inventory."""
        described = yaml.safe_load(self.inventory_file.read_text())
        described |= {group: {"hosts": dict.fromkeys(hosts)} for group, hosts in groups.items()}
        before, placed = self.inventory_file.parent, Path(tempfile.mkdtemp(prefix="placed-", dir=self.scratch))
        shutil.copytree(before, placed, dirs_exist_ok=True)
        self.inventory_file = placed / "hosts.yml"
        self.inventory_file.write_text(yaml.safe_dump(described))
        replaced = {f"--inventory={path}": f"--inventory={placed}" for path in (before, before / "hosts.yml")}
        self.inventory_arguments = [replaced.get(argument, argument) for argument in self.inventory_arguments]
        self.__dict__.pop("inventory", None)

    def on(self, group: str) -> list[Server]:
        return [self.servers[name] for name in self.inventory[group]["hosts"]]

    def first(self, group: str) -> Server:
        return self.on(group)[0]

    def address_of(self, server: Server, seen_from: Server) -> str:
        """As the brief of the inventory has it: localhost on the same host, else stack_address."""
        if server.name == seen_from.name:
            return "localhost"
        address: str = self.inventory["_meta"]["hostvars"][server.name].get("stack_address", server.name)
        return address

    @property
    def state(self) -> Path:
        return self.scratch / "state"

    def secret(self, name: str) -> str:
        return (self.state / "secrets" / name).read_text().rstrip("\n")

    @property
    def authority(self) -> Authority:
        return Authority.read(self.state / "pki", self.secret("PKI_CA_PASSPHRASE"))

    @cached_property
    def description_files(self) -> list[str]:
        """The inventory shows templates of this scenario's environment as they are."""
        shown = self.inventory["_meta"]["hostvars"][next(iter(self.servers))]["stack_files"]
        return [VARIABLE.sub(lambda found: self.environment.get(found[1]) or found[2], name) for name in shown]

    def described(self, *path: str) -> Any:
        """A value of the description, from the last file that has it."""
        found = None
        for name in self.description_files:
            value = yaml.safe_load(Path(name).read_text())
            for key in path:
                value = (value or {}).get(key)
            found = value if value is not None else found
        return found

    @property
    def broker_kind(self) -> str:
        kind: str = self.described("broker", "kind") or "redis"
        return kind

    @property
    def broker(self) -> str:
        """The component that is the broker."""
        return "redis" if self.broker_kind == "valkey" else self.broker_kind

    @cached_property
    def cell(self) -> str:
        server = self.first("worker" if self.broker == "external" else self.broker)
        release = server.run("cat", "/etc/debian_version").partition(".")[0]
        broker = {key: self.described("broker", key) for key in ("kind", "topology", "external")}
        return cell_of(broker, f"Debian {release}", lambda line: server.run("sh", "-c", line))

    def pools(self) -> dict[str, dict[str, Any]]:
        pools: dict[str, dict[str, Any]] = yaml.safe_load(Path(self.description_files[0]).read_text())["pools"]
        return pools

    def site(self, *arguments: str, changes: Mapping[str, Any] | None = None, **variables: Any) -> Run:
        """Runs playbooks/site.yml, with `changes` as the last file of the description."""
        return self.site_by("site.yml", *arguments, changes=changes, **variables)

    def site_by(
        self, playbook: str, *arguments: str, changes: Mapping[str, Any] | None = None, **variables: Any
    ) -> Run:
        """The same by another playbook."""
        return self.play(playbook, *arguments, **self.changed(changes), **variables)

    def changed(self, changes: Mapping[str, Any] | None) -> dict[str, Any]:
        """The variable that has `changes` as the last file of the description."""
        if changes is None:
            return {}
        file = self.scratch / "changes.yml"
        file.write_text(yaml.safe_dump(dict(changes)))
        return {"stack_files": [*self.description_files, str(file)]}

    def play(self, playbook: str, *arguments: str, **variables: Any) -> Run:
        process = self.begin(playbook, *arguments, own_group=False, **variables)
        output = process.communicate()[0]
        return Run(process.returncode, output)

    def begin(self, playbook: str, *arguments: str, own_group: bool = True, **variables: Any) -> subprocess.Popen[str]:
        """A run that goes on; its processes are of a group of their own, to be killed together."""
        return subprocess.Popen(
            [
                "ansible-playbook",
                *self.inventory_arguments,
                str(self.root / "playbooks" / playbook),
                *(["--extra-vars", json.dumps(variables)] if variables else []),
                *arguments,
            ],
            cwd=self.scenario,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=own_group,
        )

    def converge(self, *arguments: str, changes: Mapping[str, Any] | None = None) -> Run:
        run = self.site(*arguments, changes=changes)
        assert run.rc == 0, run.output
        return run

    def shop(self) -> Shop:
        host = self.described("web", "host")
        return Shop(host, ca=self.state / "pki" / "ca.crt", server=self.first("web").address, port=443)

    def django(self, code: str) -> str:
        """The output of Python code that runs with the web process's environment and secrets."""
        app, web = self.app, self.first("web")
        secrets = web.run("ls", f"/etc/{app}/credentials/web").split()
        tls = tls_variables(secrets, "$CREDENTIALS_DIRECTORY")
        script = f"import django\ndjango.setup()\n{code}\n"
        return web.run(
            "systemd-run",
            "--quiet",
            "--wait",
            "--pipe",
            "--collect",
            f"--property=User={app}",
            f"--property=EnvironmentFile=/etc/{app}/web.env",
            *(f"--property=LoadCredential={name}:/etc/{app}/credentials/web/{name}" for name in secrets),
            f"--property=LoadCredential=CELERY_TLS_KEY:/etc/{app}/pki/web.key",
            "sh",
            "-c",
            # What the environment says, if only to be empty, goes before. systemd reads `$$` as the `$` for the shell.
            "".join(f'export {name}="$${{{name}-{path}}}"; ' for name, path in tls.items())
            + f"exec /usr/local/lib/{app}/in-release /srv/{app}/current python -",
            stdin=script,
        )

    def touch(self, path: str) -> None:
        """Makes a file where `django` runs."""
        self.first("web").run("touch", path)

    def sql(self, query: str) -> list[list[str]]:
        """Rows of the app's database, as its server's superuser reads them."""
        server = self.first("postgresql")
        rows = server.run("runuser", "-u", "postgres", "--", "psql", "-qAtX", "-F", "\t", "-d", self.app, "-c", query)
        return [line.split("\t") for line in rows.splitlines()]
