"""Refuses on servers what only Kubernetes offers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.stalk.celery.plugins.module_utils.description.problems import Problem


def kubernetes_only_problems(values: Mapping[str, Any]) -> Iterator[Problem]:
    if values["tls"]["issuer"] == "cert-manager":
        yield Problem(
            ("tls", "issuer"),
            "is cert-manager, which only Kubernetes has",
            "set it to stalk, or to provided with a CA in tls.servers.ca",
        )
