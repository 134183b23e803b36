"""Every object has the fields of its kind alone, in the first Kubernetes that the chart takes and in the newest."""

from __future__ import annotations

import subprocess

import pytest
import yaml

from tests.chart.renders import CASES, render
from tests.helm import BIN, CHART, ROOT

SCHEMAS = ROOT / ".cache" / "schemas"
VERSIONS = sorted(folder.name for folder in SCHEMAS.glob("v*"))


def conforms(manifests: str, version: str) -> subprocess.CompletedProcess[str]:
    name = "{{.ResourceKind}}{{.KindSuffix}}.json"
    places = [f"-schema-location={SCHEMAS / folder / name}" for folder in (version, "definitions")]
    return subprocess.run(
        [BIN / "kubeconform", "-strict", *places], input=manifests, capture_output=True, text=True, check=False
    )


def test_the_first_version_is_the_one_that_the_chart_asks_for() -> None:
    asked = yaml.safe_load((CHART / "Chart.yaml").read_text())["kubeVersion"]
    assert asked == f">={VERSIONS[0].removeprefix('v')}-0"


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("case", CASES)
def test_every_object_conforms(case: str, version: str) -> None:
    checked = conforms(render(case), version)
    assert not checked.returncode, checked.stdout


@pytest.mark.parametrize("version", VERSIONS)
def test_a_field_that_the_kind_does_not_have_is_found(version: str) -> None:
    wrong = render("01-defaults").replace("revisionHistoryLimit:", "revisionHistoryLimits:")
    assert "'revisionHistoryLimits' not allowed" in conforms(wrong, version).stdout
