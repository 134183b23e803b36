"""Tells how the components on a host are."""

from __future__ import annotations

DOCUMENTATION = r"""
module: component_status
short_description: Tell how the components on a host are
description:
  - Gathers in one execution what C(playbooks/status.yml) shows of a host - units, heartbeats, pages, the broker's
    figures and queues, the database, the ends of the certificates and how full the disk is. It changes nothing.
  - What cannot be asked is told as an error of that part; the module itself does not fail.
options:
  app:
    description: Name of the app.
    type: str
    required: true
  units:
    description: Units that should run, with their suffix. All other units of the app are told as well.
    type: list
    elements: str
    default: []
  heartbeats:
    description: Unit to the file that it writes while it works.
    type: dict
    default: {}
  pages:
    description: Component to the page of this host that tells whether it works - C(port), C(path) and the leaf to
      show as client C(certificate).
    type: dict
    default: {}
  certificates:
    description: Names of files in C(/etc/APP/pki/) whose end to tell; those that are not there are left out.
    type: list
    elements: str
    default: []
  broker:
    description:
      - The C(component) that is the broker on this host, redis or rabbitmq, the C(port) to ask and the C(queues) to
        count. With port 0, for a broker that is left, its C(kind) and the port that it is configured with.
      - Of a cluster the addresses of its C(nodes), the one of this host first, of which the first that answers tells.
    type: dict
  database:
    description: Whether PostgreSQL should accept connections on this host.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: State of the workers
  stalk.celery.component_status:
    app: shop
    units: [shop-worker@default.service]
    heartbeats: {shop-worker@default.service: /run/shop-worker-default/heartbeat}
"""

RETURN = r"""
now: {description: The host's clock in seconds since the epoch., type: float, returned: always}
units: {description: Unit to its state., type: dict, returned: always}
heartbeats: {description: Unit to the content of its heartbeat file., type: dict, returned: always}
pages: {description: Component to C(status) and C(body)\\, or C(error)., type: dict, returned: always}
broker: {description: Figures and lengths of queues\\, or C(error)., type: dict, returned: when asked}
database: {description: C(accepts) and C(said)., type: dict, returned: when asked}
certificates: {description: Leaf to the end of its life in seconds since the epoch., type: dict, returned: always}
disks: {description: Folder to the part of its file system that is used\\, 0 to 1., type: dict, returned: always}
"""

import http.client
import json
import os
import re
import ssl
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.stalk.celery.plugins.module_utils.broker.resp import Redis, RedisRefused, figures
from ansible_collections.stalk.celery.plugins.module_utils.services import ServiceFailed, State, Systemd
from ansible_collections.stalk.celery.plugins.module_utils.status.rabbitmq import Management, ManagementRefused
from ansible_collections.stalk.celery.plugins.module_utils.stranded import BrokerSilent

SECONDS_TO_ANSWER = 10
LONGEST_BODY = 2000
MOST_KEYS = 100_000
UNTOLD = (OSError, http.client.HTTPException, ManagementRefused, BrokerSilent)


def units(app: str, wanted: list[str]) -> dict[str, dict[str, Any]]:
    systemd = Systemd()
    names = [*wanted, *systemd.known([f"{app}-*.service", f"{app}-*.timer", f"{app}.target", "postgresql@*.service"])]
    states = systemd.show(list(dict.fromkeys(names)))
    return {name: told(state) for name, state in states.items() if not name.rpartition(".")[0].endswith("@")}


def told(state: State) -> dict[str, Any]:
    return {
        "loaded": state.loaded,
        "active": state.active,
        "result": state.result,
        "restarts": state.restarts,
        "started": state.started,
        "settled": state.settled,
    }


def heartbeat(path: str) -> dict[str, Any] | None:
    try:
        beat = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return beat if isinstance(beat, dict) else None


def page(pki: Path, asked: dict[str, Any]) -> dict[str, Any]:
    try:
        context = ssl.create_default_context(cafile=pki / "ca.crt")
        if asked["certificate"]:
            context.load_cert_chain(pki / f"{asked['certificate']}.crt", pki / f"{asked['certificate']}.key")
        port = int(asked["port"])
        connection = http.client.HTTPSConnection("localhost", port, timeout=SECONDS_TO_ANSWER, context=context)
        connection.request("GET", asked["path"])
        answer = connection.getresponse()
        return {"status": answer.status, "body": answer.read(LONGEST_BODY).decode(errors="replace")}
    except (OSError, http.client.HTTPException) as error:
        return {"error": str(error) or type(error).__name__}


def broker(app: str, pki: Path, asked: dict[str, Any]) -> dict[str, Any]:
    component: str = asked["component"]
    listens = {}
    if not asked["port"]:
        configured = configured_ports(app, component, asked["kind"])
        if configured is None:
            return {"gone": True, "queues": {}, "taken": 0}
        asked = {**asked, "port": configured[0]}
        listens = {"listens": configured[1]}
    try:
        secret = Path(f"/etc/{app}/credentials/status/{component.upper()}_PASSWORD_status")
        password = secret.read_text(encoding="utf-8").strip()
        tell = {"redis": redis_figures, "rabbitmq": rabbitmq_figures}[component]
        return {**tell(app, pki, password, asked), **listens}
    except (*UNTOLD, RedisRefused, ValueError, LookupError) as error:
        return {"error": str(error) or type(error).__name__}


def configured_ports(app: str, component: str, kind: str, root: Path = Path("/")) -> tuple[int, int] | None:
    """Where to ask, and where it takes messages, as the role wrote it; None where that broker is not any more, or its
    data were set aside."""
    settings = {
        "redis": (r"tls-port (\d+)",) * 2,
        "rabbitmq": (r"management\.ssl\.port = (\d+)", r"listeners\.ssl\.\w+ = (?:.*:)?(\d+)"),
    }[component]
    if not (root / f"var/lib/{app}-{kind}").exists():
        return None
    try:
        written = (root / "etc" / app / component / f"{component}.conf").read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    asked, messages = (re.search(f"^{setting}$", written, re.MULTILINE) for setting in settings)
    return (int(asked[1]), int(messages[1])) if asked and messages else None


def rabbitmq_figures(app: str, pki: Path, password: str, asked: dict[str, Any]) -> dict[str, Any]:
    port, nodes = int(asked["port"]), asked.get("nodes") or []
    if not nodes:
        with Management(port, pki, "status", password, SECONDS_TO_ANSWER) as management:
            return management.figures(app, asked["queues"])
    failed: Exception | None = None
    for address in nodes:
        try:
            with Management(port, pki, "status", password, SECONDS_TO_ANSWER, address) as management:
                return management.figures(app, asked["queues"], f"{app}@{nodes[0]}")
        except UNTOLD as error:
            failed = failed or error
    raise failed or LookupError("the cluster has no node")


def redis_figures(app: str, pki: Path, password: str, asked: dict[str, Any]) -> dict[str, Any]:
    prefix = f"{app}:"
    with Redis.on_this_host(int(asked["port"]), pki, "status", SECONDS_TO_ANSWER) as redis:
        redis.call("AUTH", "status", password)
        queues = list(dict.fromkeys([*asked["queues"], *lists(redis, prefix)]))
        lengths = redis.calls([("LLEN", prefix + queue) for queue in queues])
        taken = redis.call("HLEN", f"{prefix}unacked")
        info = figures("\n".join(str(redis.call("INFO", part)) for part in ("memory", "persistence", "replication")))
    limit = int(info.get("maxmemory", 0)) or int(info.get("total_system_memory", 0))
    return {
        "memory": int(info["used_memory"]),
        "limit": limit,
        "taken": taken,
        "queues": dict(zip(queues, lengths, strict=True)),
        # What stands at a replica, the primary has too.
        "role": {"master": "primary", "slave": "replica"}[info["role"]],
        "follows": info.get("master_link_status", "up") == "up",
        "replicas": int(info.get("connected_slaves", 0)),
        "saved": info.get("aof_last_write_status", "ok") == "ok"
        and info.get("aof_last_bgrewrite_status", "ok") == "ok",
    }


def lists(redis: Redis, prefix: str) -> list[str]:
    """Names of all queues with messages, those of pools that are gone as well; replies of inspect are none."""
    found: list[str] = []
    cursor = "0"
    for _ in range(MOST_KEYS // 1000):
        answer = redis.call("SCAN", cursor, "MATCH", f"{prefix}*", "COUNT", "1000", "TYPE", "list")
        assert isinstance(answer, list)
        cursor, keys = str(answer[0]), answer[1]
        assert isinstance(keys, list)
        found += [str(key).removeprefix(prefix) for key in keys]
        if cursor == "0":
            return sorted(name for name in found if not name.endswith(".pidbox"))
    raise LookupError(f"it has more than {MOST_KEYS} keys")


def database(module: AnsibleModule) -> dict[str, Any]:
    code, out, err = module.run_command(["pg_isready", "--timeout=5"])
    return {"accepts": code == 0, "said": (out or err).strip()}


def certificates(module: AnsibleModule, pki: Path, names: list[str]) -> dict[str, float]:
    ends = {}
    for path in (pki / name for name in names):
        if not path.exists():
            continue
        _code, out, _err = module.run_command(["openssl", "x509", "-noout", "-enddate", "-in", str(path)])
        try:
            moment = datetime.strptime(out.strip(), "notAfter=%b %d %H:%M:%S %Y GMT")
        except ValueError:
            continue
        ends[path.stem] = moment.replace(tzinfo=UTC).timestamp()
    return ends


def disks() -> dict[str, float]:
    used = {}
    seen = set()
    for folder in ("/", "/var/lib", "/srv", "/var/log"):
        try:
            device, sizes = Path(folder).stat().st_dev, os.statvfs(folder)
        except OSError:
            continue
        if device in seen or not sizes.f_blocks:
            continue
        seen.add(device)
        free = sizes.f_bavail
        used[folder] = 1 - free / (sizes.f_blocks - sizes.f_bfree + free)
    return used


def main() -> None:
    module = AnsibleModule(
        {
            "app": {"type": "str", "required": True},
            "units": {"type": "list", "elements": "str", "default": []},
            "heartbeats": {"type": "dict", "default": {}},
            "pages": {"type": "dict", "default": {}},
            "certificates": {"type": "list", "elements": "str", "default": []},
            "broker": {"type": "dict"},
            "database": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    asked = module.params
    app: str = asked["app"]
    pki = Path(f"/etc/{app}/pki")
    try:
        answer: dict[str, Any] = {
            "units": units(app, asked["units"]),
            "heartbeats": {unit: heartbeat(path) for unit, path in asked["heartbeats"].items()},
            "now": time.time(),
            "pages": {name: page(pki, item) for name, item in asked["pages"].items()},
            "certificates": certificates(module, pki, asked["certificates"]),
            "disks": disks(),
        }
    except ServiceFailed as error:
        module.fail_json(msg=f"systemd does not answer on this host: {error}")
    if asked["broker"]:
        answer["broker"] = broker(app, pki, asked["broker"])
    if asked["database"]:
        answer["database"] = database(module)
    module.exit_json(changed=False, **answer)


if __name__ == "__main__":
    main()
