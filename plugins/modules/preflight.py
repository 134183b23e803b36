"""Looks for services on a host that Stalk would take over from others."""

from __future__ import annotations

DOCUMENTATION = r"""
module: preflight
short_description: Refuse what would end the services of others, or strand messages
description:
  - Fails, before anything is changed, when Redis, RabbitMQ, PostgreSQL or nginx serve something on a host that Stalk
    never deployed them on, unless the variable C(stalk_take_over) names the host; an unused service of a fresh package
    does not count.
  - Fails when something else listens on a port of a broker, a database or a web that is new on a host.
  - Fails when a queue that no pool would consume any more has messages, unless the variable C(stalk_abandon) names it.
  - Fails when the nodes of a cluster of RabbitMQ would begin empty, or lose each other.
  - Asks a host only for what the control node does not remember of the last run, and a node of a cluster always. As a
    task it needs the fact C(stack) and takes no arguments but C(ended) and C(told).
options:
  app:
    description: Name of the app.
    type: str
    required: true
  components:
    description: Components to look for.
    type: list
    elements: str
    choices: [redis, rabbitmq, postgresql, web]
    required: true
  kind:
    description: Kind of the broker, whose service of the distribution the component redis or rabbitmq replaces.
    type: str
    choices: [redis, valkey, rabbitmq, external]
  ports:
    description: Component to the ports that it is to listen on.
    type: dict
    default: {}
  nodes:
    description: Whether to tell the nodes of RabbitMQ whose data is on the host, and their management_port.
    type: bool
    default: false
  told:
    description:
      - Host to the figures that M(stalk.celery.leaving_broker) told there of a broker of another kind.
      - With C(ended), host to the C(figures) that this module told there with C(ended) alone.
    type: dict
  ended:
    description:
      - At the end of a run. On each of the broker's hosts it tells the figures; with C(told) it fails when messages
        came to a queue while its pool left.
    type: bool
    default: false
author: [Stalk developers]
attributes:
  check_mode: {support: full}
"""

EXAMPLES = r"""
- name: What runs and waits is not lost
  stalk.celery.preflight:
"""

RETURN = r"""
foreign: {description: Component to what runs in its place., type: dict, returned: always}
listeners: {description: Port to the units or programs that listen on it., type: dict, returned: always}
own: {description: Components that Stalk deployed here before., type: list, returned: always}
nodes: {description: Names of the nodes of RabbitMQ whose data is here., type: list, returned: always}
management_port:
  description: Port of a node's management API as it is configured; null without I(nodes) or a node.
  type: int
  returned: always
figures: {description: The broker's component to its figures., type: dict, returned: with ended and without told}
"""

import fnmatch
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.stalk.celery.plugins.module_utils.services import ServiceFailed, Systemd

SECONDS_TO_ANSWER = 10
DATABASES = "SELECT datname FROM pg_database WHERE NOT datistemplate AND datname <> 'postgres'"
NGINX = Path("/etc/nginx")


def said(*command: str) -> str | None:
    """What a command prints; nothing when it fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=SECONDS_TO_ANSWER)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def redis(running: list[str]) -> str:
    """Or Valkey, whose command line is named like its service."""
    for unit in running:
        if use := use_of_redis(said(unit.replace("-server.service", "-cli"), "INFO")):
            return f"{unit} runs and {use}"
    return ""


def use_of_redis(info: str | None) -> str:
    """What speaks against a Redis that nobody uses; who asks is itself one client."""
    lines = dict(line.split(":", 1) for line in (info or "").splitlines() if ":" in line)
    if "connected_clients" not in lines:
        return "keeps what it holds to itself"
    if any(name.startswith("db") and name[2:].isdigit() for name in lines):
        return "has keys"
    return "has clients" if int(lines["connected_clients"]) > 1 else ""


def rabbitmq(running: list[str]) -> str:
    """Other programs in Erlang share the package's mapper of ports, which would end with it."""
    nodes = re.findall(r"^name (\S+) at port", said("epmd", "-names") or "", re.MULTILINE)
    used = [*(f"{unit} runs" for unit in running), *(f"epmd knows the Erlang node {node}" for node in nodes)]
    return used[0] if used else ""


def postgresql(running: list[str]) -> str:
    for unit in running:
        cluster = unit.removeprefix("postgresql@").removesuffix(".service").replace("-", "/", 1)
        psql = said("runuser", "-u", "postgres", "--", "psql", "--cluster", cluster, "-qAtXc", DATABASES)
        if psql is None:
            return f"{unit} runs and does not tell its databases"
        if databases := psql.split():
            return f"{unit} runs and has the database {databases[0]}"
    return ""


def web(running: list[str]) -> str:
    sites = [*apps_of(NGINX), *own_sites(NGINX)] if running else []
    return f"nginx runs and serves {sites[0]}" if sites else ""


def apps_of(folder: Path) -> list[str]:
    """The app that Stalk wrote the configuration for; one nginx serves one app."""
    try:
        written = re.search(r"^# Written by Stalk for (\S+)\. ", (folder / "nginx.conf").read_text(), re.MULTILINE)
    except OSError:
        return []
    return [f"the app {written[1]}"] if written else []


def own_sites(folder: Path) -> list[str]:
    """Sites that the package did not bring."""
    sites = [path for path in folder.glob("sites-enabled/*") if path.name != "default"]
    return sorted(str(path) for path in (*sites, *folder.glob("conf.d/*.conf")))


def listeners(port: int) -> list[str] | None:
    """Units that listen on a port of TCP, and programs outside of units; nothing when that cannot be told."""
    sockets = said("ss", "--no-header", "--listening", "--tcp", "--numeric", "--processes", f"sport = :{port}")
    return None if sockets is None else sorted({name for line in sockets.splitlines() for name in holders(line)})


def holders(socket: str) -> set[str]:
    """Of a line of ss: a socket of another container has no process here."""
    found = re.findall(r'\("([^"]+)",pid=(\d+)', socket)
    return {unit_of(pid) or program for program, pid in found} or {"something"}


def unit_of(pid: str) -> str:
    try:
        return unit_in(*(Path("/proc", process, "cgroup").read_text() for process in (pid, "1")))
    except OSError:
        return ""


def unit_in(cgroups: str, of_systemd: str) -> str:
    """The service of the system that a process is in; that of a user's or a container's systemd is none.

    Where the host is itself a container, its systemd may begin further down than at the root.
    """
    root = control_group(of_systemd).removesuffix("/init.scope")
    own = control_group(cgroups).removeprefix(root)
    unit = re.match(r"/system\.slice/(?:[^/]+\.slice/)*([^/]+\.service)(?=/|$)", own)
    return unit[1] if unit else ""


def control_group(listed: str) -> str:
    """Of the hierarchy that systemd keeps: its own one, beside which a unified one may be unused (cgroups(7))."""
    found = re.search(r"^\d+:name=systemd:(.*)$", listed, re.MULTILINE) or re.search(r"^0::(.*)$", listed, re.MULTILINE)
    return found[1] if found else ""


def management_port(configuration: Path) -> int | None:
    """Of a node, as a rabbitmq.conf has it."""
    try:
        found = re.search(r"^management\.ssl\.port = (\d+)$", configuration.read_text(), re.MULTILINE)
    except OSError:
        return None
    return int(found[1]) if found else None


LOOKS: dict[str, tuple[str, Callable[[list[str]], str]]] = {
    "redis": ("{kind}-server.service", redis),
    "rabbitmq": ("{kind}-server.service", rabbitmq),
    "postgresql": ("postgresql@*-main.service", postgresql),
    "web": ("nginx.service", web),
}


def main() -> None:
    module = AnsibleModule(
        {
            "app": {"type": "str", "required": True},
            "components": {"type": "list", "elements": "str", "choices": sorted(LOOKS), "required": True},
            "kind": {"type": "str", "choices": ["redis", "valkey", "rabbitmq", "external"]},
            "ports": {"type": "dict", "default": {}},
            "nodes": {"type": "bool", "default": False},
            "ended": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    app: str = module.params["app"]
    systemd = Systemd()
    # Its certificate is the first thing that a component gets.
    own = [name for name in module.params["components"] if Path(f"/etc/{app}/pki/{name}.crt").exists()]
    data = Path(f"/var/lib/{app}-rabbitmq/data")
    has_nodes = module.params["nodes"]
    nodes = sorted(path.parent.name for path in data.glob("*/schema.DAT")) if has_nodes else []
    management = management_port(Path(f"/etc/{app}/rabbitmq/rabbitmq.conf")) if has_nodes else None
    new = [name for name in module.params["components"] if name not in own]
    foreign, listening = {}, {}
    try:
        for name in new:
            pattern, look = LOOKS[name]
            taken_over = pattern.format(kind=module.params["kind"])
            if what := look(systemd.active(taken_over)):
                foreign[name] = what
            for port in module.params["ports"].get(name, ()):
                found = listeners(port)
                if found is None:
                    module.fail_json(msg="ss does not tell who listens on this host; install iproute2")
                elif others := [unit for unit in found if not fnmatch.fnmatchcase(unit, taken_over)]:
                    listening[port] = others
    except ServiceFailed as error:
        module.fail_json(msg=f"systemd does not answer on this host: {error}")
    module.exit_json(
        changed=False, foreign=foreign, listeners=listening, own=own, nodes=nodes, management_port=management
    )


if __name__ == "__main__":
    main()
