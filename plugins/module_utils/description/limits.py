"""Refuses limits under which a stop, a restart or the broker itself would lose or repeat work."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.stalk.celery.plugins.module_utils.certificates.duration import read_duration
from ansible_collections.stalk.celery.plugins.module_utils.description.chart import chart_words
from ansible_collections.stalk.celery.plugins.module_utils.description.derive import (
    GRACE_SLACK,
    broker_component,
    broker_name,
    grace,
    least_consumer_timeout,
    least_visibility_timeout,
    merged_pools,
    size_in_bytes,
)
from ansible_collections.stalk.celery.plugins.module_utils.description.problems import Path, Problem, quoted
from ansible_collections.stalk.celery.plugins.module_utils.description.sayings import refusal, remedy_said

RULES = chart_words("rules")["limits"]


def limit_problems(values: Mapping[str, Any]) -> Iterator[Problem]:
    for name, pool in merged_pools(values).items():
        yield from pool_problems(name, pool, values)
    yield from timeout_problems(values)
    yield from memory_problems(values)
    yield from certificate_life_problems(values)


def pool_problems(name: str, pool: Mapping[str, Any], values: Mapping[str, Any]) -> Iterator[Problem]:
    own = values["pools"][name]

    def at(key: str) -> Path:
        """Where to set the key right: a pool that takes it and time_limit from pool_defaults is not at fault itself."""
        return ("pools", name, key) if key in own or "time_limit" in own else ("pool_defaults", key)

    limit, soft, kind, age = pool["time_limit"], pool["soft_time_limit"], pool["pool"], pool["heartbeat_max_age"]
    needed = limit + GRACE_SLACK
    facts = {"pool": name, "limit": limit, "slack": GRACE_SLACK, "needed": needed}
    if grace(pool) < needed:
        yield refusal("grace_short", at("grace"), **facts, grace=grace(pool))
    if kind == "prefork" and soft >= limit:
        remedy = remedy_said("soft_below" if limit > 1 else "soft_room", limit=limit)
        yield refusal("soft_limit_long", at("soft_time_limit"), **facts, soft=soft, remedy=remedy)
    if kind == "solo" and age < needed:
        yield refusal("heartbeat_short", ("pools", name, "heartbeat_max_age"), **facts, age=age)
    yield from kind_problems(name, pool, own)


def kind_problems(name: str, pool: Mapping[str, Any], own: Mapping[str, Any]) -> Iterator[Problem]:
    """What the pool itself asks for and its kind does not do."""
    kind, path = pool["pool"], ("pools", name, "concurrency")
    for key in RULES["prefork_only"]:
        if kind != "prefork" and own.get(key) is not None:
            yield refusal("no_children", ("pools", name, key), pool=name, kind=kind)
    if kind == "solo" and own.get("concurrency", 1) != 1:
        yield refusal("one_at_a_time", path, pool=name, concurrency=own["concurrency"])
    if kind in ("gevent", "threads") and pool["concurrency"] == "auto":
        yield refusal("automatic", path, pool=name, kind=kind)


def timeout_problems(values: Mapping[str, Any]) -> Iterator[Problem]:
    for key, saying, least in (
        ("visibility_timeout", "visibility_short", least_visibility_timeout(values)),
        ("consumer_timeout", "consumer_short", least_consumer_timeout(values)),
    ):
        timeout = values["broker"].get(key)
        if timeout is not None and timeout < least:
            yield refusal(saying, ("broker", key), timeout=timeout, least=least)


def memory_problems(values: Mapping[str, Any]) -> Iterator[Problem]:
    written, least = values["broker"]["maxmemory"], RULES["least_memory"].get(broker_component(values), 0)
    if 0 < size_in_bytes(written) < least:
        facts = {"broker": broker_name(values), "least": f"{least // RULES['size_units']['mb']}mb"}
        yield refusal("memory_small", ("broker", "maxmemory"), written=quoted(str(written)), **facts)


def certificate_life_problems(values: Mapping[str, Any]) -> Iterator[Problem]:
    before, lifetime = values["tls"]["rotate_before"], values["tls"]["lifetime"]
    if read_duration(before) >= read_duration(lifetime):
        yield refusal("renewed_always", ("tls", "rotate_before"), before=before, lifetime=lifetime)
