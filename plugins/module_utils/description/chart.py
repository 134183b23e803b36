"""What the chart holds for both targets: the defaults of a description, its schema, and the words of refusals."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import yaml
from ansible_collections.stalk.celery.plugins.module_utils.description.sources import COLLECTION

CHART = COLLECTION / "helm" / "stalk"
DESCRIPTION = CHART / "files" / "description"


def chart_defaults() -> dict[str, Any]:
    defaults: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text())
    return defaults


def chart_schema() -> dict[str, Any]:
    schema: dict[str, Any] = json.loads((DESCRIPTION / "schema.json").read_text())
    return schema


@cache
def chart_words(name: str) -> dict[str, Any]:
    words: dict[str, Any] = yaml.safe_load((DESCRIPTION / f"{name}.yaml").read_text())
    return words
