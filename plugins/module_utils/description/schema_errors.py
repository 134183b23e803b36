"""Validates against the JSON schema and says each error in words that name the remedy."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.stalk.celery.plugins.module_utils.description.clear_text import PRIVATE, holds_secret
from ansible_collections.stalk.celery.plugins.module_utils.description.homes import homes_of, resolved
from ansible_collections.stalk.celery.plugins.module_utils.description.near import near
from ansible_collections.stalk.celery.plugins.module_utils.description.problems import (
    Path,
    Problem,
    listed,
    quoted,
)
from ansible_collections.stalk.celery.plugins.module_utils.description.sayings import SAYINGS, refusal, remedy_said
from jsonschema import Draft202012Validator, ValidationError, validators

Schema = Mapping[str, Any]

KIND_NAMES: Mapping[str, str] = SAYINGS["kinds"]
UNIT_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


def match_to_the_end(_validator: Any, pattern: str, instance: Any, _schema: Any) -> Iterator[ValidationError]:
    """`pattern`, but Python's `$` would accept a newline at the end (re, "$"), which Helm's does not."""
    if isinstance(instance, str) and not re.search(re.sub(r"\$$", r"\\Z", pattern), instance):
        yield ValidationError(f"{instance!r} does not match {pattern!r}")


extend: Any = validators.extend
Validator = extend(Draft202012Validator, {"pattern": match_to_the_end})


@dataclass(frozen=True)
class Broken:
    """One error of the validator: `keyword: limit` of the part `schema` refuses `value`, or a key's name."""

    path: Path
    keyword: str
    limit: Any
    value: Any
    schema: Schema
    of_name: bool


def errors(values: Mapping[str, Any], schema: Schema) -> Iterator[Broken]:
    for error in Validator(schema).iter_errors(values):
        found: Any = error
        yield Broken(
            tuple(found.absolute_path),
            str(found.validator),
            found.validator_value,
            found.instance,
            found.schema,
            "propertyNames" in found.absolute_schema_path,
        )


def schema_problems(values: Mapping[str, Any], schema: Schema) -> list[Problem]:
    found = list(errors(values, schema))
    of_another_kind = {error.path for error in found if error.keyword == "type"}
    telling = [error for error in found if error.keyword == "type" or error.path not in of_another_kind]
    return without_echoes([problem for error in telling for problem in SAY[error.keyword](error, schema)])


def without_echoes(problems: list[Problem]) -> list[Problem]:
    """A misspelt key is one mistake: the right one is not said to be missing too."""
    suggested = {use for problem in problems for use in problem.uses}
    return [problem for problem in problems if not (problem.saying == "missing" and problem.path in suggested)]


def shown(value: Any, path: Path = ()) -> str:
    """The value for a message; what may be a secret stays unsaid."""
    if isinstance(value, str):
        return "this text" if holds_secret(value) or any(key in PRIVATE for key in path) else quoted(value)
    if isinstance(value, dict):
        return "a map" if value else "an empty map"
    if isinstance(value, list):
        return "a list" if value else "an empty list"
    return json.dumps(value)


def kinds(schema: Schema) -> list[str]:
    kind = schema.get("type", [])
    return [kind] if isinstance(kind, str) else list(kind)


def remedy(schema: Schema) -> str:
    """What may be written, from the schema's own words."""
    accepted = kinds(schema)
    if "$comment" in schema:
        return str(schema["$comment"])
    if "enum" in schema:
        choices = [str(choice) for choice in schema["enum"]]
        return remedy_said("choices" if choices[1:] else "only", choices=", ".join(choices), choice=choices[0])
    if "integer" in accepted:
        name = "range_or_null" if "null" in accepted else "range"
        return remedy_said(name, low=schema["minimum"], high=schema["maximum"])
    if accepted == ["boolean"]:
        return remedy_said("boolean")
    if accepted == ["object"]:
        return remedy_said("map", key=known_keys(schema)[0])
    return remedy_said("kind", kind=wanted_kind(schema))


def known_keys(schema: Schema) -> list[str]:
    """Keys of a map: those that it needs in the schema's order, then the others by alphabet."""
    return list(dict.fromkeys([*schema.get("required", ()), *sorted(schema["properties"])]))


def wanted_kind(schema: Schema) -> str:
    accepted = [kind for kind in kinds(schema) if kind != "null"]
    return KIND_NAMES["integer"] if "integer" in accepted else " or ".join(KIND_NAMES[kind] for kind in accepted)


def say_unknown(error: Broken, schema: Schema) -> Iterator[Problem]:
    known = known_keys(error.schema)
    for key in error.value:
        if key in known:
            continue
        path = (*error.path, key)
        if guess := near(key, known):
            yield refusal("misspelt_key", path, (*error.path, guess), guess=guess)
        elif homes := homes_of(path, schema):
            yield refusal("misplaced_key", path, homes=" or ".join(homes[:2]))
        else:
            yield refusal("unknown_key", path, known=listed(known))


def say_missing(error: Broken, schema: Schema) -> Iterator[Problem]:
    for key in error.limit:
        if key not in error.value:
            path, below = (*error.path, key), resolved(error.schema["properties"][key], schema)
            # All but the queues of a pool has a default: it is missing only where a null took that away.
            yield refusal("missing" if path[0] == "pools" else "nulled", path, remedy=remedy(below))


# Words such as names of queues, which a list may hold without quotes.
WORDS = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:, -]*")


def say_kind(error: Broken, _schema: Schema) -> Iterator[Problem]:
    path, value, accepted = error.path, error.value, kinds(error.schema)
    facts = {
        "wanted": wanted_kind(error.schema),
        "remedy": remedy(error.schema),
        "shown": shown(value, path).replace("this text", "text"),
    }
    if value is None:
        yield refusal("empty", path, **facts)
    elif "integer" in accepted and isinstance(value, str) and number_meant(value) is not None:
        yield refusal("number_in_text", path, **facts, number=number_meant(value))
    elif accepted == ["boolean"] and isinstance(value, str) and value.lower() in ("true", "false", "yes", "no"):
        meant = "true" if value.lower() in ("true", "yes") else "false"
        yield refusal("boolean_in_text", path, **facts, boolean=meant)
    elif accepted[0] == "string" and isinstance(value, int | float):
        yield refusal("text_without_quotes", path, **facts)
    elif accepted == ["array"] and isinstance(value, str) and WORDS.fullmatch(value) and facts["shown"] != "text":
        yield refusal("list_in_text", path, **facts, items=", ".join(value.replace(",", " ").split()))
    else:
        yield refusal("wrong_kind", path, **facts)


def number_meant(text: str) -> int | None:
    """The seconds or the number that a text such as "30m" or "4" means."""
    match = re.fullmatch(r"\s*([0-9]{1,9})\s*([smhdw]?)\s*", text)
    return int(match[1]) * UNIT_SECONDS.get(match[2], 1) if match else None


def say_choices(error: Broken, _schema: Schema) -> Iterator[Problem]:
    path, value = error.path, error.value
    if not isinstance(value, str):
        return
    guess = near(value, map(str, error.limit))
    if path == ("tls", "issuer") and value in ("none", "plaintext", "plain"):
        yield refusal("plain_text", path, remedy=remedy(error.schema))
    else:
        way_out = remedy_said("guess", guess=guess) if guess else remedy(error.schema)
        yield refusal("not_offered", path, shown=shown(value), remedy=way_out)


def say_range(error: Broken, _schema: Schema) -> Iterator[Problem]:
    saying = "less" if error.keyword == "minimum" else "more"
    yield refusal(saying, error.path, shown=shown(error.value), limit=error.limit, remedy=remedy(error.schema))


def say_pattern(error: Broken, _schema: Schema) -> Iterator[Problem]:
    path, value = error.path, error.value
    facts = {"remedy": remedy(error.schema), "shown": shown(value, path)}
    if error.of_name:
        yield refusal("unusable_name", (*path, value), **facts)
    elif value == "":
        yield refusal("unusable_empty", path, **facts)
    elif "integer" in kinds(error.schema) and re.fullmatch(r"\s*[0-9]{1,9}\s*", value):
        yield refusal("number_in_text", path, **facts, wanted=wanted_kind(error.schema), number=number_meant(value))
    else:
        yield refusal("unusable", path, **facts)


def say_size(error: Broken, _schema: Schema) -> Iterator[Problem]:
    path = (*error.path, error.value) if error.of_name else error.path
    saying = {"maxLength": "too_long"}.get(error.keyword, "too_many" if error.keyword.startswith("max") else "too_few")
    yield refusal(saying, path, size=len(error.value), limit=error.limit)


def say_twice(error: Broken, _schema: Schema) -> Iterator[Problem]:
    seen: list[Any] = []
    for index, item in enumerate(error.value):
        if item in seen:
            yield refusal("twice", (*error.path, index), shown=shown(item, error.path))
        seen.append(item)


def say_taken(error: Broken, _schema: Schema) -> Iterator[Problem]:
    yield refusal("taken", error.path, shown=shown(error.value), why=error.limit["$comment"])


# Each keyword that the schema may use; the chart's templates/description/schema/ know the same.
SAY: dict[str, Callable[[Broken, Schema], Iterator[Problem]]] = {
    "additionalProperties": say_unknown,
    "required": say_missing,
    "type": say_kind,
    "enum": say_choices,
    "not": say_taken,
    "minimum": say_range,
    "maximum": say_range,
    "pattern": say_pattern,
    "maxLength": say_size,
    "minItems": say_size,
    "maxItems": say_size,
    "minProperties": say_size,
    "maxProperties": say_size,
    "uniqueItems": say_twice,
}
