"""Refuses, on servers, secrets that nobody gave or whose values cannot serve. On Kubernetes they are the cluster's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.stalk.celery.plugins.module_utils.broker_url import REDIS, BrokerRefused, read_broker_url
from ansible_collections.stalk.celery.plugins.module_utils.database_url import why_refused
from ansible_collections.stalk.celery.plugins.module_utils.description.problems import Problem
from ansible_collections.stalk.celery.plugins.module_utils.description.surroundings import Surroundings
from ansible_collections.stalk.celery.plugins.module_utils.description.variables import ENCRYPTED, KIND, is_of_stalk
from ansible_collections.stalk.celery.plugins.module_utils.flower_secret import flower_refusals

GIVE = "add {} to stalk_secrets (ansible-vault), or put it into the file secrets/{} of stalk_state"


def given_secret_problems(values: Mapping[str, Any], surroundings: Surroundings) -> Iterator[Problem]:
    yield from app_problems(values, surroundings)
    yield from broker_problems(values, surroundings)
    if values["database"]["kind"] == "external":
        yield from database_problems(values["app"]["env"], surroundings.secrets.get("DATABASE_URL"))
    if values["flower"]["enabled"] and not is_of_stalk(values["flower"]["auth"]["secret"]):
        yield from flower_problems(values["flower"]["auth"], surroundings)


def app_problems(values: Mapping[str, Any], surroundings: Surroundings) -> Iterator[Problem]:
    users = values["flower"]["auth"]["secret"]
    for index, name in enumerate(values["app"]["secrets"]):
        if name != users and name not in surroundings.secrets and not is_of_stalk(name):
            yield Problem(
                ("app", "secrets", index), f"the secret {name} is nowhere to be found", GIVE.format(name, name)
            )


def database_problems(environment: Mapping[str, Any], url: str | None) -> Iterator[Problem]:
    if url is None:
        yield Problem(
            KIND,
            "is external, and the secret DATABASE_URL is nowhere to be found",
            GIVE.format("DATABASE_URL", "DATABASE_URL"),
        )
    elif refused := why_refused(url, ENCRYPTED, environment.get("PGSSLMODE") is not None):
        yield Problem(KIND, *refused, (("app", "env"),))


def broker_problems(values: Mapping[str, Any], surroundings: Surroundings) -> Iterator[Problem]:
    """The addresses of a broker and of a store of results of the user's own."""
    broker, results = values["broker"], values["results"]["kind"]
    asked = {("broker", "kind"): ("CELERY_BROKER_URL", broker["external"], broker["kind"])}
    asked[("results", "kind")] = ("CELERY_RESULT_BACKEND", REDIS, results)
    for path, (name, protocol, kind) in asked.items():
        url = surroundings.secrets.get(name)
        if kind != "external":
            continue
        if url is None:
            yield Problem(path, f"is external, and the secret {name} is nowhere to be found", GIVE.format(name, name))
            continue
        try:
            read_broker_url(name, url, protocol, ".".join(path))
        except BrokerRefused as refused:
            yield Problem(tuple(refused.path.split(".")), refused.reason, refused.remedy, (("broker", "external"),))


def flower_problems(auth: Mapping[str, Any], surroundings: Surroundings) -> Iterator[Problem]:
    path, name = ("flower", "auth", "secret"), auth["secret"]
    kind = ("flower", "auth", "kind")
    content = surroundings.secrets.get(name)
    if content is not None:
        for refused in flower_refusals(auth["kind"], name, content):
            yield Problem(path, *refused, (kind,))
    elif auth["kind"] == "oauth":
        yield Problem(
            path, f"the secret {name} is nowhere to be found, and oauth needs it", GIVE.format(name, name), (kind,)
        )
