"""Refuses scalers that cannot scale, and fixed numbers of workers beside them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.stalk.celery.plugins.module_utils.description.chart import chart_schema
from ansible_collections.stalk.celery.plugins.module_utils.description.derive import merged_pools
from ansible_collections.stalk.celery.plugins.module_utils.description.problems import Path, Problem
from ansible_collections.stalk.celery.plugins.module_utils.description.sayings import refusal

POOL_DEFAULTS: Path = ("pool_defaults", "kubernetes", "replicas")


def scale_problems(values: Mapping[str, Any]) -> Iterator[Problem]:
    scaled = {name: pool for name, pool in merged_pools(values).items() if pool["scale"].get("max") is not None}
    for name, pool in scaled.items():
        yield from pool_problems(name, pool["scale"], values["pools"][name])
    keda = any(pool["scale"]["provider"] == "keda" for pool in scaled.values())
    external_rabbitmq = values["broker"]["kind"] == "external" and values["broker"]["external"] == "rabbitmq"
    if keda and external_rabbitmq and not values["broker"]["management_url"]:
        yield refusal("scale_uncounted", ("broker", "management_url"))
    replicas = values["pool_defaults"]["kubernetes"]["replicas"]
    if scaled and len(scaled) == len(values["pools"]) and replicas != usual_replicas():
        yield refusal("replicas_scaled_everywhere", POOL_DEFAULTS, replicas=replicas)


def pool_problems(name: str, scale: Mapping[str, Any], own: Mapping[str, Any]) -> Iterator[Problem]:
    least, most, own_scale = scale["min"], scale["max"], own.get("scale") or {}
    replicas = (own.get("kubernetes") or {}).get("replicas")

    def at(other: str) -> Path:
        """Where min was written, or is to be written when the pool itself wrote what it does not fit to."""
        return ("pools", name, "scale", "min") if {"min", other} & set(own_scale) else ("pool_defaults", "scale", "min")

    if least > most:
        yield refusal("scale_reversed", at("max"), pool=name, min=least, max=most)
    if least == 0 and scale["provider"] == "hpa":
        yield refusal("scale_to_none", at("provider"), pool=name)
    if replicas is not None:
        yield refusal(
            "replicas_scaled", ("pools", name, "kubernetes", "replicas"), pool=name, replicas=replicas, max=most
        )


def usual_replicas() -> int:
    part = chart_schema()
    for key in POOL_DEFAULTS:
        part = part["properties"][key]
    return int(part["default"])
