"""Works out what follows from a merged description. Pure: no file is read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

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


def least_visibility_timeout(values: Mapping[str, Any]) -> int:
    """A message must not return to its queue while the worker that took it may still work on it."""
    pools = merged_pools(values).values()
    longest_limit = max((pool["time_limit"] for pool in pools), default=0)
    longest_grace = max((grace(pool) for pool in pools), default=0)
    return int(longest_limit + values["app"]["longest_eta"] + longest_grace)


def visibility_timeout(values: Mapping[str, Any]) -> int:
    stated = values["broker"].get("visibility_timeout")
    return least_visibility_timeout(values) if stated is None else int(stated)


def concurrency(pool: Mapping[str, Any]) -> int | str:
    stated: int | str = pool["concurrency"]
    return 1 if pool["pool"] == "solo" else stated


def worker_arguments(pool: Mapping[str, Any]) -> list[str]:
    """What `celery worker` is called with, apart from the application and the node's name."""
    kind = pool["pool"]
    arguments = [
        f"--pool={kind}",
        f"--concurrency={concurrency(pool)}",
        f"--queues={','.join(pool['queues'])}",
        f"--loglevel={pool['loglevel']}",
        "--prefetch-multiplier=1",
        "--disable-prefetch",
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


def environment(values: Mapping[str, Any]) -> dict[str, str]:
    """The plain variables of docs/contract.md that are the same on every target, and the app's own."""
    app = values["app"]
    return {
        "DJANGO_SETTINGS_MODULE": app["settings"],
        "DJANGO_ALLOWED_HOSTS": values["web"]["host"],
        "CELERY_KEY_PREFIX": f"{app['name']}:",
        "CELERY_VISIBILITY_TIMEOUT": str(visibility_timeout(values)),
        "CELERY_RESULT_EXPIRES": str(values["results"]["expires"]),
        "CELERY_TASK_DEFAULT_QUEUE": app["default_queue"],
        "CELERY_TASK_ROUTES": json.dumps(routes(values)),
        "CELERY_BEAT_LEASE_TTL": str(values["beat"]["lease"]["ttl"]),
        **{name: plain(value) for name, value in app["env"].items()},
    }


def derived_pool(name: str, pool: Values) -> Values:
    return {
        **pool,
        "name": name,
        "concurrency": concurrency(pool),
        "grace": grace(pool),
        "max_tasks_per_child": pool.get("max_tasks_per_child"),
        "max_memory_per_child": pool.get("max_memory_per_child"),
        "env": {name: plain(value) for name, value in present(pool["env"]).items()},
        "arguments": worker_arguments(pool),
    }


def derive(values: Values) -> Values:
    """The whole fact `stack`."""
    return {
        **values,
        "broker": {**values["broker"], "visibility_timeout": visibility_timeout(values)},
        "pools": {name: derived_pool(name, pool) for name, pool in merged_pools(values).items()},
        "environment": environment(values),
    }
