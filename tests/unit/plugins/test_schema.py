"""files/description/schema.json covers values.yaml, and both belong together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from ansible_collections.stalk.celery.plugins.module_utils.description.chart import (
    chart_defaults,
    chart_schema,
    chart_words,
)
from ansible_collections.stalk.celery.plugins.module_utils.description.homes import resolved
from ansible_collections.stalk.celery.plugins.module_utils.description.scale import usual_replicas
from ansible_collections.stalk.celery.plugins.module_utils.description.schema_errors import SAY, schema_problems
from ansible_collections.stalk.celery.plugins.module_utils.secrets_store import GENERATED
from jsonschema import Draft202012Validator

SCHEMA = chart_schema()
# Keys whose entries a user names.
FREE = ("app.env", "app.routes", "pools", "pool_defaults.env")
# Keys whose values have the shape that Kubernetes gives them.
KUBERNETES_OWN = ("annotations", "podSecurityContext", "resources", "strategy")


def leaves(values: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for key, value in values.items():
        yield (*path, key), value
        if isinstance(value, dict) and ".".join((*path, key)) not in FREE and key not in KUBERNETES_OWN:
            yield from leaves(value, (*path, key))


def parts(schema: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield schema
    for below in (*schema.get("properties", {}).values(), *schema.get("$defs", {}).values()):
        yield from parts(below)
    for key in ("additionalProperties", "items", "propertyNames"):
        if isinstance(schema.get(key), dict):
            yield from parts(schema[key])


PARTS = [resolved(part, SCHEMA) for part in parts(SCHEMA)]


def test_it_is_a_schema() -> None:
    Draft202012Validator.check_schema(SCHEMA)


# Keywords that refuse nothing themselves.
SILENT = {"$schema", "$defs", "$ref", "$comment", "title", "description", "default"}
DESCENDING = {"properties", "items", "propertyNames"}


def test_both_targets_know_every_keyword() -> None:
    assert {keyword for part in PARTS for keyword in part} <= set(SAY) | SILENT | DESCENDING


def test_the_defaults_are_valid() -> None:
    assert schema_problems(chart_defaults(), SCHEMA) == []


@pytest.mark.parametrize("path", [path for path, _ in leaves(chart_defaults())], ids=".".join)
def test_every_default_has_its_schema(path: tuple[str, ...]) -> None:
    part: Mapping[str, Any] = SCHEMA
    for key in path:
        part = resolved(resolved(part, SCHEMA)["properties"][key], SCHEMA)
    assert part["description"].endswith(".")
    assert part["type"]


def test_the_defaults_in_the_schema_are_those_of_the_values() -> None:
    assert usual_replicas() == chart_defaults()["pool_defaults"]["kubernetes"]["replicas"]
    of_pods = SCHEMA["properties"]["kubernetes"]["properties"]["resources"]["default"]
    assert of_pods == chart_defaults()["kubernetes"]["resources"]
    assert len([part for part in PARTS if "default" in part]) == 2


def test_both_homes_of_what_stalk_makes_are_alike() -> None:
    assert chart_words("rules")["variables"]["generated"] == GENERATED.pattern


POD_OPTIONS = frozenset(SCHEMA["properties"]["kubernetes"]["properties"])


def is_option_of_a_component(path: tuple[str, ...]) -> bool:
    """Options of pods have their default under `kubernetes:`, from where the components take it."""
    return len(path) > 2 and path[-2] in ("kubernetes", "migrations", "secrets", "queues") and path[-1] in POD_OPTIONS


def test_every_key_of_the_schema_has_a_default() -> None:
    def keys(part: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
        for key, below in resolved(part, SCHEMA).get("properties", {}).items():
            if not is_option_of_a_component((*path, key)):
                yield (*path, key)
                yield from keys(below, (*path, key))

    defaults = {path for path, _ in leaves(chart_defaults())}
    assert set(keys(SCHEMA)) == {path for path in defaults if not is_option_of_a_component(path)}


def test_no_map_takes_unknown_keys() -> None:
    for part in PARTS:
        if "object" in str(part.get("type")):
            assert part.get("additionalProperties") is not None, part


def test_every_value_has_a_range() -> None:
    for part in PARTS:
        kind = str(part.get("type"))
        if "integer" in kind:
            assert {"minimum", "maximum"} <= set(part), part
        elif "string" in kind:
            assert {"pattern", "enum", "maxLength"} & set(part), part
