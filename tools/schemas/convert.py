"""JSON schemas for kubeconform, of what API servers and CustomResourceDefinitions say of their kinds.

    convert.py OUTPUT --kubernetes VERSION=SWAGGER.JSON... --definitions FOLDER...

They go to OUTPUT/<version>/ and OUTPUT/definitions/, under the names that kubeconform looks for. They refuse every
field that the kind does not have.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

Schema = dict[str, Any]

REFERENCE = re.compile(r'"#/definitions/([^"]+)"')
OPEN = "x-kubernetes-preserve-unknown-fields"
QUANTITY = "io.k8s.apimachinery.pkg.api.resource.Quantity"


def strict(schema: Schema) -> Schema:
    """The schema without fields that it does not name, and without prose."""
    if schema.get("x-kubernetes-int-or-string") or schema.get("format") == "int-or-string":
        return {"type": ["integer", "string"]}
    made = {key: value for key, value in schema.items() if key != "description" and not key.startswith("x-")}
    if "properties" in made:
        made["properties"] = {name: strict(value) for name, value in made["properties"].items()}
        made.setdefault("additionalProperties", bool(schema.get(OPEN)))
    for key in ("items", "additionalProperties"):
        if isinstance(made.get(key), dict):
            made[key] = strict(made[key])
    return made


def file_name(group: str, version: str, kind: str) -> str:
    return "-".join([kind.lower(), *([group.partition(".")[0]] if group else []), version]) + ".json"


def needed(name: str, definitions: dict[str, Schema]) -> dict[str, Schema]:
    """A definition and those that it refers to."""
    found: dict[str, Schema] = {}
    waiting = [name]
    while waiting:
        if (next_one := waiting.pop()) not in found:
            found[next_one] = definitions[next_one]
            waiting += REFERENCE.findall(json.dumps(definitions[next_one]))
    return found


def of_kubernetes(swagger: Path) -> Iterator[tuple[str, Schema]]:
    said = json.loads(swagger.read_text())["definitions"]
    # The API server takes `cpu: 2` for "2".
    definitions = {name: strict(schema) for name, schema in said.items()} | {QUANTITY: {"type": ["number", "string"]}}
    for name, schema in said.items():
        for kind in schema.get("x-kubernetes-group-version-kind", ()):
            yield (
                file_name(kind["group"], kind["version"], kind["kind"]),
                {"$ref": f"#/definitions/{name}", "definitions": needed(name, definitions)},
            )


def of_definitions(folder: Path) -> Iterator[tuple[str, Schema]]:
    for file in sorted(folder.glob("*.yaml")):
        for document in yaml.load_all(file.read_text(), Loader=yaml.CSafeLoader):
            if document and document["kind"] == "CustomResourceDefinition":
                spec = document["spec"]
                for version in spec["versions"]:
                    name = file_name(spec["group"], version["name"], spec["names"]["kind"])
                    yield name, strict(version["schema"]["openAPIV3Schema"])


def write(folder: Path, schemas: Iterator[tuple[str, Schema]]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, schema in schemas:
        (folder / name).write_text(json.dumps(schema))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path)
    parser.add_argument("--kubernetes", nargs="+", metavar="VERSION=FILE", default=[])
    parser.add_argument("--definitions", nargs="+", type=Path, metavar="FOLDER", default=[])
    chosen = parser.parse_args()
    for source in chosen.kubernetes:
        version, _, file = source.partition("=")
        write(chosen.output / version, of_kubernetes(Path(file)))
    for folder in chosen.definitions:
        write(chosen.output / "definitions", of_definitions(folder))


if __name__ == "__main__":
    main()
