"""What a host asks a broker and a store of results that somebody else provides, and what its answer means. Reads the
files that the description names on the control node, and connects to nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

APP_COMPONENTS = frozenset({"web", "worker", "beat", "flower"})
SECRETS = {"broker": "CELERY_BROKER_URL", "results": "CELERY_RESULT_BACKEND"}


def external_parts(stack: Mapping[str, Any]) -> list[str]:
    return [part for part in SECRETS if stack[part]["kind"] == "external"]


def external_question(stack: Mapping[str, Any], part: str, url: str, counted: Sequence[str]) -> dict[str, Any]:
    """The arguments of the module external_broker; `counted` are queues whose messages matter."""
    files = stack[part]["servers"]
    is_broker = part == "broker"
    return {
        "url": url,
        "protocol": stack["broker"]["protocol"] if is_broker else "redis",
        "app": stack["app"]["name"],
        "queues": sorted({queue for pool in stack["pools"].values() for queue in pool["queues"]}) if is_broker else [],
        "counted": list(counted) if is_broker else [],
        "ca": text_of(files["ca"]),
        "extra_ca": text_of(stack["servers"]["extra_ca"]),
        "certificate": text_of(files.get("certificate", "")),
        "key": text_of(files.get("key", "")),
        "keys": {"ca": f"{part}.servers.ca", "certificate": f"{part}.servers.certificate"},
    }


def text_of(name: str) -> str:
    return Path(name).read_text(encoding="utf-8") if name else ""


def external_problems(host: str, part: str, answer: Mapping[str, Any]) -> Iterator[str]:
    """One line each."""
    for problem in answer["problems"]:
        yield f"{part}.kind: is external, and {problem} (seen from {host})"


def external_figures(answer: Mapping[str, Any]) -> dict[str, Any]:
    """As the module component_status tells a broker's."""
    if answer["problems"]:
        return {"error": answer["problems"][0]}
    return {"queues": answer.get("waiting", {}), "delayed": answer.get("delayed", 0)}
