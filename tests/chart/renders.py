"""What the chart makes of each file in helm/stalk/ci, and of the description of the demo."""

from __future__ import annotations

import functools
import subprocess
from typing import Any

import yaml

from tests.helm import CHART, ROOT, helm

RELEASE = "shop"
NAMESPACE = "teas"

FILES = {path.name.removesuffix("-values.yaml"): path for path in sorted((CHART / "ci").iterdir())}
FILES["demo"] = ROOT / "stack.yml"
CASES = list(FILES)

Object = dict[str, Any]


def template(case: str, *arguments: str, namespace: str = NAMESPACE) -> subprocess.CompletedProcess[str]:
    return helm("template", RELEASE, CHART, f"--values={FILES[case]}", f"--namespace={namespace}", *arguments)


@functools.cache
def render(case: str, namespace: str = NAMESPACE) -> str:
    """For an upgrade, which has the hooks of an installation and its own."""
    rendered = template(case, "--is-upgrade", namespace=namespace)
    assert not rendered.returncode, rendered.stderr
    return rendered.stdout


def objects(manifests: str) -> list[Object]:
    return [document for document in yaml.load_all(manifests, Loader=yaml.CSafeLoader) if document]


def title(made: Object) -> str:
    return f"{made['kind']}/{made['metadata']['name']}"
