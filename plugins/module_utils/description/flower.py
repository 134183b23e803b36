"""Refuses a Flower that anybody could enter, or nobody."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.stalk.celery.plugins.module_utils.description.chart import chart_words
from ansible_collections.stalk.celery.plugins.module_utils.description.problems import Problem
from ansible_collections.stalk.celery.plugins.module_utils.description.sayings import refusal
from ansible_collections.stalk.celery.plugins.module_utils.description.variables import is_of_stalk

RULES = chart_words("rules")["flower"]


def flower_problems(values: Mapping[str, Any]) -> Iterator[Problem]:
    if not values["flower"]["enabled"]:
        return
    auth = values["flower"]["auth"]
    if not values["web"]["enabled"]:
        yield refusal("flower_unreachable", ("flower", "enabled"))
    if is_of_stalk(auth["secret"]):
        yield refusal("flower_secret_shared", ("flower", "auth", "secret"), name=auth["secret"])
    if auth["kind"] == "oauth" and not auth["emails"]:
        yield refusal("flower_open", ("flower", "auth", "emails"))
    elif auth["kind"] == "oauth" and not are_addresses(auth["emails"]):
        yield refusal("flower_pattern", ("flower", "auth", "emails"))


def are_addresses(emails: str) -> bool:
    addresses = all(re.fullmatch(RULES["address"], address) for address in emails.split("|"))
    return addresses or bool(re.fullmatch(RULES["domain"], emails))
