"""Validates against the JSON schema and says each error in words that name the remedy."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.stalk.celery.plugins.module_utils.description.clear_text import holds_secret
from ansible_collections.stalk.celery.plugins.module_utils.description.problems import (
    Path,
    Problem,
    dotted,
    listed,
    quoted,
)
from jsonschema import Draft202012Validator, ValidationError, validators

Schema = Mapping[str, Any]

KIND_NAMES = {
    "object": "a map",
    "array": "a list",
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "null": "null",
}
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
    problems = [
        problem for error in errors(values, schema) for problem in SAYINGS.get(error.keyword, say_other)(error, schema)
    ]
    return without_echoes(problems)


def without_echoes(problems: list[Problem]) -> list[Problem]:
    """A misspelt key is one mistake: the right one is not said to be missing too."""
    suggested = {use for problem in problems for use in problem.uses}
    return [problem for problem in problems if not (problem.reason == MISSING and problem.path in suggested)]


MISSING = "is missing"


# Below these keys a value may be a secret in the wrong place.
PRIVATE = ("env", "secrets", "secret")


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
    if "$comment" in schema:
        return str(schema["$comment"])
    if "enum" in schema:
        return f"write one of {', '.join(map(str, schema['enum']))}" if len(schema["enum"]) > 1 else only(schema)
    accepted = kinds(schema)
    if "integer" in accepted:
        low, high = schema.get("minimum"), schema.get("maximum")
        text = f"write a whole number from {low} to {high}"
        return f"{text}, or null" if "null" in accepted else text
    if accepted == ["boolean"]:
        return "write true or false"
    if accepted == ["object"]:
        return f"write keys such as `{next(iter(schema['properties']))}` under it"
    return f"write {' or '.join(KIND_NAMES[kind] for kind in accepted)}" if accepted else "correct it"


def only(schema: Schema) -> str:
    return f"write {schema['enum'][0]}, which is all that is offered"


def near(word: str, words: list[str]) -> str | None:
    lowered = {w.lower().replace("_", "").replace("-", ""): w for w in words}
    found = difflib.get_close_matches(word.lower().replace("_", "").replace("-", ""), lowered, n=1, cutoff=0.6)
    return lowered[found[0]] if found else None


def say_unknown(error: Broken, schema: Schema) -> Iterator[Problem]:
    known = list(error.schema["properties"])
    for key in error.value:
        if key in known:
            continue
        path = (*error.path, key)
        guess = near(key, known)
        if guess:
            yield Problem(path, "unknown key", f"did you mean {guess}?", uses=((*error.path, guess),))
            continue
        homes = sorted(homes_of(key, schema), key=lambda home: -shared(home, path))
        if homes:
            yield Problem(path, "unknown key here", f"did you mean {' or '.join(dotted(h) for h in homes[:2])}?")
        else:
            yield Problem(path, "unknown key", f"remove it; known here are {listed(known)}")


def homes_of(key: str, schema: Schema) -> list[Path]:
    """Where in a description the key is at home."""
    return [path for path in all_keys(schema, schema, ()) if path[-1] == key]


def shared(one: Path, other: Path) -> int:
    """How many keys two paths share from the top."""
    return next((n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), 0)


def all_keys(part: Schema, root: Schema, path: Path) -> Iterator[Path]:
    part = resolved(part, root)
    for key, below in part.get("properties", {}).items():
        yield (*path, key)
        yield from all_keys(below, root, (*path, key))
    below = part.get("additionalProperties")
    if isinstance(below, dict):
        yield from all_keys(below, root, (*path, "NAME"))


def resolved(part: Schema, root: Schema) -> Schema:
    reference = part.get("$ref")
    return {**root["$defs"][reference.rsplit("/", 1)[1]], **part} if reference else part


def say_missing(error: Broken, schema: Schema) -> Iterator[Problem]:
    for key in error.limit:
        if key in error.value:
            continue
        path, below = (*error.path, key), resolved(error.schema["properties"][key], schema)
        if path[0] == "pools":
            yield Problem(path, MISSING, remedy(below))
        else:
            # All else has a default: it is missing only where a null took that away.
            yield Problem(path, "is null, and a value is needed", f"{remedy(below)}, or remove the line")


def say_type(error: Broken, _schema: Schema) -> Iterator[Problem]:
    path, value, what = error.path, error.value, wanted_kind(error.schema)
    accepted = kinds(error.schema)
    if value is None:
        yield Problem(path, f"is empty, not {what}", f"{remedy(error.schema)}, or remove the line")
        return
    found = shown(value, path).replace("this text", "text")
    if "integer" in accepted and isinstance(value, str) and number_meant(value) is not None:
        yield Problem(path, f"is the text {shown(value)}, not {what}", f"write {number_meant(value)}")
    elif accepted == ["boolean"] and isinstance(value, str) and value.lower() in ("true", "false", "yes", "no"):
        meant = "true" if value.lower() in ("true", "yes") else "false"
        yield Problem(path, f"is the text {found}, not {what}", f"write {meant} without quotes")
    elif accepted[0] == "string" and isinstance(value, int | float):
        yield Problem(path, f"is {found}, not {what}", f"{remedy(error.schema).removesuffix(IN_QUOTES)}{IN_QUOTES}")
    elif accepted == ["array"] and isinstance(value, str) and found == quoted(value):
        items = ", ".join(value.replace(",", " ").split())
        yield Problem(path, f"is {found}, not {what}", f"write [{items}]")
    else:
        yield Problem(path, f"is {found}, not {what}", remedy(error.schema))


IN_QUOTES = ", in quotes"


def wanted_kind(schema: Schema) -> str:
    accepted = [kind for kind in kinds(schema) if kind != "null"]
    if "integer" in accepted:
        return KIND_NAMES["integer"]
    return " or ".join(KIND_NAMES[kind] for kind in accepted)


def number_meant(text: str) -> int | None:
    """The seconds or the number that a text such as "30m" or "4" means."""
    match = re.fullmatch(r"\s*([0-9]{1,9})\s*([smhdw]?)\s*", text)
    return int(match[1]) * UNIT_SECONDS.get(match[2], 1) if match else None


def say_enum(error: Broken, _schema: Schema) -> Iterator[Problem]:
    choices = [str(choice) for choice in error.limit]
    path, value = error.path, error.value
    if not isinstance(value, str):
        return
    if path == ("tls", "issuer") and value in ("none", "plaintext", "plain"):
        yield Problem(
            path, "plain text is not offered: broker, database and web are always encrypted", remedy(error.schema)
        )
        return
    guess = near(value, choices)
    yield Problem(path, f"{shown(value)} is not offered", f"did you mean {guess}?" if guess else remedy(error.schema))


def say_range(error: Broken, _schema: Schema) -> Iterator[Problem]:
    yield Problem(
        error.path,
        f"{shown(error.value)} is {'less' if error.keyword == 'minimum' else 'more'} than {error.limit}",
        remedy(error.schema),
    )


def say_pattern(error: Broken, _schema: Schema) -> Iterator[Problem]:
    path, value = error.path, error.value
    if error.of_name:
        yield Problem((*path, value), "this name cannot be used", remedy(error.schema))
    elif value == "":
        yield Problem(path, "is empty", remedy(error.schema))
    elif "integer" in kinds(error.schema) and re.fullmatch(r"\s*[0-9]{1,9}\s*", value):
        yield Problem(path, f"is the text {shown(value, path)}, not a whole number", f"write {number_meant(value)}")
    else:
        yield Problem(path, f"{shown(value, path)} cannot be used", remedy(error.schema))


def say_length(error: Broken, _schema: Schema) -> Iterator[Problem]:
    path = error.path
    if error.of_name:
        path = (*path, error.value)
    size, limit = len(error.value), error.limit
    most = error.keyword.startswith("max")
    things = "characters" if isinstance(error.value, str) else "entries"
    yield Problem(path, f"has {size} {things}", f"write at {'most' if most else 'least'} {limit}")


def say_twice(error: Broken, _schema: Schema) -> Iterator[Problem]:
    seen: list[Any] = []
    for index, item in enumerate(error.value):
        if item in seen:
            yield Problem((*error.path, index), f"{shown(item, error.path)} is in the list already", "remove it")
        seen.append(item)


def say_taken(error: Broken, _schema: Schema) -> Iterator[Problem]:
    yield Problem(error.path, f"{shown(error.value)} {error.limit['$comment']}", "choose another")


def say_other(error: Broken, _schema: Schema) -> Iterator[Problem]:
    yield Problem(error.path, f"{shown(error.value, error.path)} cannot be used", remedy(error.schema))


SAYINGS: dict[str, Callable[[Broken, Schema], Iterator[Problem]]] = {
    "additionalProperties": say_unknown,
    "required": say_missing,
    "type": say_type,
    "enum": say_enum,
    "not": say_taken,
    "minimum": say_range,
    "maximum": say_range,
    "pattern": say_pattern,
    "minLength": say_length,
    "maxLength": say_length,
    "minItems": say_length,
    "maxItems": say_length,
    "minProperties": say_length,
    "maxProperties": say_length,
    "uniqueItems": say_twice,
}
