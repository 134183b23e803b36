"""Works out what follows from a merged description."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from ansible_collections.stalk.celery.plugins.module_utils.description.chart import chart_words
from ansible_collections.stalk.celery.plugins.module_utils.description.merge import Values, coalesce, present

# A stop sends SIGQUIT 15 s before the grace ends, so that much of it is no working time; the rest is slack.
GRACE_SLACK = 30

# celery 5.7.0: concurrency/gevent.py takes `timeout` only, thread.py and solo.py take none.
ENFORCES_TIME_LIMIT = ("prefork", "gevent")


def merged_pools(values: Mapping[str, Any]) -> dict[str, Values]:
    """Each pool over pool_defaults."""
    return {name: coalesce(pool, values["pool_defaults"]) for name, pool in values["pools"].items()}


def grace(pool: Mapping[str, Any]) -> int:
    stated = pool.get("grace")
    return int(pool["time_limit"]) + GRACE_SLACK if stated is None else int(stated)


def least_consumer_timeout(values: Mapping[str, Any]) -> int:
    """A message must not be taken from the worker that may still work on it."""
    pools = merged_pools(values).values()
    longest_limit = max((pool["time_limit"] for pool in pools), default=0)
    longest_grace = max((grace(pool) for pool in pools), default=0)
    return int(longest_limit + longest_grace)


def least_visibility_timeout(values: Mapping[str, Any]) -> int:
    """With Redis a worker holds a message until its ETA, too; RabbitMQ holds it itself."""
    return least_consumer_timeout(values) + int(values["app"]["longest_eta"])


def broker_component(values: Mapping[str, Any]) -> str:
    """The component, and so the group of the inventory, that is the broker on servers; or external, which has none."""
    kind = str(values["broker"]["kind"])
    components: Mapping[str, str] = chart_words("rules")["broker"]["components"]
    return components.get(kind, kind)


def broker_protocol(values: Mapping[str, Any]) -> str:
    """What the app's processes speak to it, whoever provides it."""
    component = broker_component(values)
    return str(values["broker"]["external"]) if component == "external" else component


def broker_name(values: Mapping[str, Any]) -> str:
    return str(chart_words("rules")["broker"]["names"][values["broker"]["kind"]])


def broker_port(values: Mapping[str, Any]) -> int:
    stated = values["broker"].get("port")
    ports: Mapping[str, int] = chart_words("rules")["broker"]["ports"]
    return ports[broker_protocol(values)] if stated is None else int(stated)


def size_in_bytes(written: int | str) -> int:
    """A size of the schema: 512mb, 16777216."""
    match = re.fullmatch(r"([0-9]+)([a-z]*)", str(written).lower())
    units: Mapping[str, int] = chart_words("rules")["limits"]["size_units"]
    return int(match[1]) * units[match[2] or "b"] if match else 0


def broker(values: Mapping[str, Any]) -> Values:
    stated = values["broker"]
    least = {"visibility_timeout": least_visibility_timeout(values), "consumer_timeout": least_consumer_timeout(values)}
    return {
        **stated,
        "protocol": broker_protocol(values),
        "component": broker_component(values),
        "port": broker_port(values),
        **{key: seconds if stated.get(key) is None else stated[key] for key, seconds in least.items()},
        **{f"{key}_bytes": size_in_bytes(stated[key]) for key in ("maxmemory", "disk_free_limit")},
        "queues": queues_by_pool(values),
    }


def queues_by_pool(values: Mapping[str, Any]) -> dict[str, list[str]]:
    """Each queue in one pool, the first by alphabet of those that consume it."""
    found: dict[str, list[str]] = {}
    for name, pool in sorted(values["pools"].items()):
        taken = {queue for queues in found.values() for queue in queues}
        if queues := [queue for queue in pool["queues"] if queue not in taken]:
            found[name] = queues
    return found


def results_kind(values: Mapping[str, Any]) -> str:
    stated = str(values["results"]["kind"])
    return {"rabbitmq": "database", "redis": "redis"}[broker_protocol(values)] if stated == "auto" else stated


def concurrency(pool: Mapping[str, Any]) -> int | str:
    stated: int | str = pool["concurrency"]
    return 1 if pool["pool"] == "solo" else stated


def worker_arguments(pool: Mapping[str, Any], protocol: str) -> list[str]:
    """What `celery worker` is called with, apart from the application and the node's name."""
    kind = pool["pool"]
    # RabbitMQ hands out no more than the worker asks for; Celery warns of the option there.
    prefetch = [] if protocol == "rabbitmq" else ["--disable-prefetch"]
    arguments = [
        f"--pool={kind}",
        f"--concurrency={concurrency(pool)}",
        f"--queues={','.join(pool['queues'])}",
        f"--loglevel={pool['loglevel']}",
        "--prefetch-multiplier=1",
        *prefetch,
    ]
    if kind in ENFORCES_TIME_LIMIT:
        arguments.append(f"--time-limit={pool['time_limit']}")
    if kind == "prefork":
        arguments.append(f"--soft-time-limit={pool['soft_time_limit']}")
        for option in ("max_tasks_per_child", "max_memory_per_child"):
            if pool.get(option) is not None:
                arguments.append(f"--{option.replace('_', '-')}={pool[option]}")
    # Gossip only serves elections, which nothing here holds, and every worker would hear every other's
    # heartbeat. Mingle stays: it tells a restarted worker which tasks have been revoked.
    arguments.append("--without-gossip")
    if pool["task_events"]:
        arguments.append("--task-events")
    return arguments


def plain(value: Any) -> str:
    """As a shell would write the value: true, 1, text."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def routes(values: Mapping[str, Any]) -> dict[str, str]:
    """Celery takes a name before any glob, and of globs the first that matches (celery/app/routes.py:MapRoute): the one
    with the longest literal text. No order of the description counts, as Helm's maps have none."""
    stated: Mapping[str, str] = values["app"]["routes"]
    names = sorted(task for task in stated if "*" not in task)
    globs = sorted((task for task in stated if "*" in task), key=lambda glob: (-len(glob.replace("*", "")), glob))
    return {task: stated[task] for task in names + globs}


def name_of_nodes(values: Mapping[str, Any]) -> dict[str, str]:
    """What the certificates of all nodes of a cluster have in common."""
    is_cluster = values["broker"]["topology"] == "cluster"
    return {"CELERY_BROKER_HOSTNAME": f"{values['app']['name']}-rabbitmq"} if is_cluster else {}


def environment(values: Mapping[str, Any]) -> dict[str, str]:
    """The plain variables of docs/contract.md that are the same on every target, and the app's own."""
    app = values["app"]
    return {
        "DJANGO_SETTINGS_MODULE": app["settings"],
        "DJANGO_ALLOWED_HOSTS": values["web"]["host"],
        **name_of_nodes(values),
        **({"CELERY_SENTINEL_MASTER": app["name"]} if values["broker"]["topology"] == "sentinel" else {}),
        "CELERY_KEY_PREFIX": f"{app['name']}:",
        "CELERY_VISIBILITY_TIMEOUT": str(broker(values)["visibility_timeout"]),
        "CELERY_RESULT_EXPIRES": str(values["results"]["expires"]),
        "CELERY_TASK_DEFAULT_QUEUE": app["default_queue"],
        "CELERY_TASK_ROUTES": json.dumps(routes(values)),
        "CELERY_BEAT_LEASE_TTL": str(values["beat"]["lease"]["ttl"]),
        **{name: plain(value) for name, value in app["env"].items()},
    }


def derived_pool(name: str, pool: Values, protocol: str) -> Values:
    return {
        **pool,
        "name": name,
        "concurrency": concurrency(pool),
        "grace": grace(pool),
        "max_tasks_per_child": pool.get("max_tasks_per_child"),
        "max_memory_per_child": pool.get("max_memory_per_child"),
        "env": {name: plain(value) for name, value in present(pool["env"]).items()},
        "arguments": worker_arguments(pool, protocol),
    }


def derive(values: Values) -> Values:
    """The whole fact `stack`."""
    return {
        **values,
        "broker": broker(values),
        "results": {**values["results"], "kind": results_kind(values)},
        "pools": {
            name: derived_pool(name, pool, broker_protocol(values)) for name, pool in merged_pools(values).items()
        },
        "environment": environment(values),
    }
