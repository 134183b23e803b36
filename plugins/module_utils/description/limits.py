"""Refuses limits under which a stop, a restart or Redis itself would lose or repeat work."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.stalk.celery.plugins.module_utils.certificates.duration import read_duration
from ansible_collections.stalk.celery.plugins.module_utils.description.derive import (
    GRACE_SLACK,
    grace,
    least_visibility_timeout,
    merged_pools,
)
from ansible_collections.stalk.celery.plugins.module_utils.description.problems import ANY, Path, Problem, quoted

PREFORK_ONLY = ("max_tasks_per_child", "max_memory_per_child")
LEAST_MEMORY = 16 * 1024 * 1024
MEMORY_UNITS = {"": 1, "b": 1, "k": 1000, "kb": 1024, "m": 10**6, "mb": 1024**2, "g": 10**9, "gb": 1024**3}


def limit_problems(values: Mapping[str, Any]) -> Iterator[Problem]:
    for name, pool in merged_pools(values).items():
        yield from pool_problems(name, pool, values)
    yield from visibility_problems(values)
    yield from memory_problems(values)
    yield from certificate_life_problems(values)


def stated(name: str, key: str, values: Mapping[str, Any]) -> Path:
    """Where the value of the pool's key was written."""
    return ("pools", name, key) if key in values["pools"][name] else ("pool_defaults", key)


def pool_problems(name: str, pool: Mapping[str, Any], values: Mapping[str, Any]) -> Iterator[Problem]:
    def path(key: str) -> Path:
        return stated(name, key, values)

    # A pool that takes all from pool_defaults is at fault itself when only its own limit differs.
    def uses(*keys: str) -> tuple[Path, ...]:
        return tuple(found for key in keys for found in (("pools", name, key), ("pool_defaults", key)))

    limit, soft, kind = pool["time_limit"], pool["soft_time_limit"], pool["pool"]
    needed = limit + GRACE_SLACK
    if grace(pool) < needed:
        at = path("grace") if path("time_limit")[0] == "pool_defaults" else ("pools", name, "grace")
        yield Problem(
            at,
            f"{grace(pool)} s is shorter than time_limit {limit} s + {GRACE_SLACK} s, a stop would kill work",
            f"set it to {needed} or more, or null",
            uses("grace", "time_limit"),
        )
    if kind == "prefork" and soft >= limit:
        at = path("soft_time_limit") if path("time_limit")[0] == "pool_defaults" else ("pools", name, "soft_time_limit")
        yield Problem(
            at,
            f"{soft} s is not shorter than time_limit {limit} s, a task would be killed without warning",
            f"set it below {limit}" if limit > 1 else "set time_limit to 2 or more and this below it",
            uses("soft_time_limit", "time_limit", "pool"),
        )
    if kind == "solo" and pool["heartbeat_max_age"] < needed:
        yield Problem(
            ("pools", name, "heartbeat_max_age"),
            f"{pool['heartbeat_max_age']} s is shorter than time_limit {limit} s + {GRACE_SLACK} s, and a solo pool "
            "beats only between tasks, it would be restarted at work",
            f"set it to {needed} or more, or pool to prefork with concurrency 1",
            uses("heartbeat_max_age", "time_limit", "pool"),
        )
    yield from kind_problems(name, kind, values, uses("pool"))


def kind_problems(name: str, kind: str, values: Mapping[str, Any], uses: tuple[Path, ...]) -> Iterator[Problem]:
    """What the pool itself asks for and its kind does not do."""
    own = values["pools"][name]
    for key in PREFORK_ONLY:
        if kind != "prefork" and own.get(key) is not None:
            yield Problem(
                ("pools", name, key), f"a {kind} pool has no child processes", "remove it, or set pool to prefork", uses
            )
    if kind == "solo" and own.get("concurrency", 1) != 1:
        yield Problem(
            ("pools", name, "concurrency"),
            f"a solo pool works on one task at a time, not {own['concurrency']}",
            "set it to 1, or pool to prefork",
            uses,
        )
    concurrency = own.get("concurrency", values["pool_defaults"]["concurrency"])
    if kind in ("gevent", "threads") and concurrency == "auto":
        yield Problem(
            ("pools", name, "concurrency"),
            f"auto counts CPUs, which says nothing about a {kind} pool",
            "write a number such as 100",
            uses,
        )


def visibility_problems(values: Mapping[str, Any]) -> Iterator[Problem]:
    stated_timeout = values["broker"].get("visibility_timeout")
    least = least_visibility_timeout(values)
    if stated_timeout is not None and stated_timeout < least:
        yield Problem(
            ("broker", "visibility_timeout"),
            f"{stated_timeout} s is shorter than the longest time_limit + app.longest_eta + the longest grace "
            f"({least} s), a task would run twice",
            f"set it to {least} or more, or null",
            (
                ("app", "longest_eta"),
                *(path for key in ("time_limit", "grace") for path in (("pools", ANY, key), ("pool_defaults", key))),
            ),
        )


def memory_problems(values: Mapping[str, Any]) -> Iterator[Problem]:
    written = str(values["broker"]["maxmemory"])
    match = re.fullmatch(r"([0-9]+)([a-z]*)", written.lower())
    size = int(match[1]) * MEMORY_UNITS[match[2]] if match else 0
    if 0 < size < LEAST_MEMORY:
        yield Problem(
            ("broker", "maxmemory"),
            f"{quoted(written)} leaves Redis no room for messages",
            "set it to 16mb or more, or 0 for no limit",
        )


def certificate_life_problems(values: Mapping[str, Any]) -> Iterator[Problem]:
    tls = values["tls"]
    if read_duration(tls["rotate_before"]) >= read_duration(tls["lifetime"]):
        yield Problem(
            ("tls", "rotate_before"),
            f"{tls['rotate_before']} is not shorter than tls.lifetime {tls['lifetime']}, "
            "every run would renew every certificate",
            "set it to a third of the lifetime or less",
            (("tls", "lifetime"),),
        )
