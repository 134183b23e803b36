"""What the chart makes of each file in helm/stalk/ci, and of the description of the demo."""

from __future__ import annotations

import functools
import os
import subprocess
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
BIN = ROOT / ".cache" / "bin"
CHART = ROOT / "helm" / "stalk"
RELEASE = "shop"
NAMESPACE = "teas"

FILES = {path.name.removesuffix("-values.yaml"): path for path in sorted((CHART / "ci").iterdir())}
FILES["demo"] = ROOT / "stack.yml"
CASES = list(FILES)

Object = dict[str, Any]


def helm(command: str, case: str, *arguments: str, namespace: str = NAMESPACE) -> subprocess.CompletedProcess[str]:
    """Helm without a cluster to ask."""
    release = () if command == "lint" else (RELEASE,)
    return subprocess.run(
        [BIN / "helm", command, *release, CHART, f"--values={FILES[case]}", f"--namespace={namespace}", *arguments],
        env=os.environ | {"KUBECONFIG": os.devnull},
        capture_output=True,
        text=True,
        check=False,
    )


@functools.cache
def render(case: str, namespace: str = NAMESPACE) -> str:
    """For an upgrade, which has the hooks of an installation and its own."""
    rendered = helm("template", case, "--is-upgrade", namespace=namespace)
    assert not rendered.returncode, rendered.stderr
    return rendered.stdout


def objects(manifests: str) -> list[Object]:
    return [document for document in yaml.load_all(manifests, Loader=yaml.CSafeLoader) if document]


def title(made: Object) -> str:
    return f"{made['kind']}/{made['metadata']['name']}"
