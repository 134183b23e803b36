"""The schemas refuse what the API server would drop or refuse, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator
from schemas.convert import of_definitions, of_kubernetes

PORT = {"x-kubernetes-int-or-string": True, "anyOf": [{"type": "integer"}, {"type": "string"}]}
FIELDS = {
    "port": PORT,
    "size": {"type": "string"},
    "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
}


def swagger(folder: Path) -> Path:
    quantity = "io.k8s.apimachinery.pkg.api.resource.Quantity"
    tea = {
        "properties": {"water": {"$ref": f"#/definitions/{quantity}"}, "port": {"$ref": "#/definitions/IntOrString"}},
        "x-kubernetes-group-version-kind": [{"group": "teas.example.org", "version": "v1", "kind": "Tea"}],
    }
    definitions = {
        "Tea": tea,
        "IntOrString": {"type": "string", "format": "int-or-string"},
        quantity: {"type": "string"},
        "Unused": {"type": "string"},
    }
    file = folder / "swagger.json"
    file.write_text(json.dumps({"definitions": definitions}))
    return file


def definition(folder: Path) -> Path:
    schema = {"type": "object", "properties": FIELDS}
    spec = {
        "group": "teas.example.org",
        "names": {"kind": "Tea"},
        "versions": [{"name": "v1", "schema": {"openAPIV3Schema": schema}}],
    }
    (folder / "tea.yaml").write_text(yaml.safe_dump_all([None, {"kind": "CustomResourceDefinition", "spec": spec}]))
    return folder


def errors(schema: Any, value: object) -> list[str]:
    return [error.message for error in Draft202012Validator(schema).iter_errors(value)]


@pytest.mark.parametrize("tea", [{}, {"water": "1"}, {"water": 1, "port": "http"}, {"port": 80}])
def test_a_kind_of_the_api_server_takes_its_fields(tmp_path: Path, tea: dict[str, object]) -> None:
    ((name, schema),) = of_kubernetes(swagger(tmp_path))
    assert name == "tea-teas-v1.json"
    assert errors(schema, tea) == []


@pytest.mark.parametrize("tea", [{"milk": 1}, {"port": []}])
def test_a_kind_of_the_api_server_takes_no_other(tmp_path: Path, tea: dict[str, object]) -> None:
    ((_, schema),) = of_kubernetes(swagger(tmp_path))
    assert len(errors(schema, tea)) == 1


def test_a_schema_has_the_definitions_that_it_needs(tmp_path: Path) -> None:
    ((_, schema),) = of_kubernetes(swagger(tmp_path))
    assert "Unused" not in schema["definitions"]


@pytest.mark.parametrize("tea", [{}, {"port": 80}, {"port": "http", "free": {"anything": 1}}])
def test_a_kind_of_a_definition_takes_its_fields(tmp_path: Path, tea: dict[str, object]) -> None:
    ((name, schema),) = of_definitions(definition(tmp_path))
    assert name == "tea-teas-v1.json"
    assert errors(schema, tea) == []


@pytest.mark.parametrize("tea", [{"milk": 1}, {"size": 1}])
def test_a_kind_of_a_definition_takes_no_other(tmp_path: Path, tea: dict[str, object]) -> None:
    ((_, schema),) = of_definitions(definition(tmp_path))
    assert len(errors(schema, tea)) == 1
