"""Helm refuses each file of tests/bad in the words in which Ansible refuses it, and any other mistake too."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.stalk.celery.plugins.module_utils.description.describe import describe
from ansible_collections.stalk.celery.plugins.module_utils.description.problems import Refused
from ansible_collections.stalk.celery.plugins.module_utils.description.surroundings import Surroundings
from bad_descriptions import BAD, CASES, files_of, inventory_groups
from edges import EDGES
from mistakes import with_mistakes

from tests.helm import CHART, helm

HEADING = re.compile(r"The description is refused for (this reason|these \d+ reasons); nothing was changed\.\n")
PLACE = re.compile(r" \[[^\[\]]+:\d+\]$")

# What is no YAML, or no map; Helm says so in its own words.
NOT_YAML = {
    "anchor-bomb",
    "anchor-merged-wrongly",
    "anchor-recursive",
    "anchor-undefined",
    "not-a-number",
    "two-files-both-broken",
    "yaml-colon-in-value",
    "yaml-control-character",
    "yaml-indentation",
    "yaml-keys-that-are-no-words",
    "yaml-list",
    "yaml-open-bracket",
    "yaml-open-quote",
    "yaml-scalar",
    "yaml-tab",
    "yaml-template",
}
# YAML that Helm has read, and lost the trace of, before any template sees the values.
LOST_BY_HELM = {
    "keys-twice": "the second value wins",
    "pool-twice": "the second pool wins",
    "numbers-huge": "numbers above 2^53 are rounded",
    "yaml-deep": "no depth is too deep",
    "yaml-empty": "an empty file says nothing",
    "yaml-only-comments": "an empty file says nothing",
    "yaml-tags": "tags are dropped",
    "yaml-two-documents": "the first document counts",
}
# What a description is checked against beside itself, which only servers have.
OF_SERVERS = re.compile(
    r"inventory has no"
    r"|in the group worker"
    r"|, and the group \S+ has \d+ hosts? \("
    r"|takes no lease, and the group beat has"
    r"| on \S.* too; choose another port$"
    r"|is nowhere to be found"
    r"|does not exist; correct the path"
    r"|cannot be read \("
    r"|holds no PEM"
    r"|tls\.servers\.ca names (no|a) CA"
    r"|which only Kubernetes (has|takes)"
    r"|is empty, and \S+ is not; name both or neither$"
    r"|^app\.servers\.source: \S+ (is no folder|has no manage\.py)"
    r"|^app\.(celery|settings|wsgi): \S+ has no"
)


def refused_by_helm(files: Sequence[str], folder: Path, command: Sequence[str] = ("template", "shop")) -> list[str]:
    run = helm(*command, CHART, *(f"--values={name}" for name in files), folder=folder)
    output = run.stdout + run.stderr if command[0] == "lint" else run.stderr
    heading = HEADING.search(output)
    assert bool(run.returncode) == bool(heading), output
    return output[heading.end() :].partition("\n\n")[0].splitlines() if heading else []


def refused_by_ansible(files: Sequence[str], folder: Path) -> list[str]:
    """What does not depend on servers, in Helm's order and without places in files, which Helm has not."""
    try:
        describe(files, folder, Surroundings(inventory_groups()))
    except Refused as refused:
        lines = {PLACE.sub("", line) for line in refused.lines}
        return sorted(line for line in lines if not OF_SERVERS.search(line))
    return []


@pytest.mark.parametrize("case", [case for case in CASES if case not in NOT_YAML | set(LOST_BY_HELM)])
def test_both_targets_refuse_in_the_same_words(case: str) -> None:
    assert refused_by_helm(files_of(case), BAD) == refused_by_ansible(files_of(case), BAD)


@pytest.mark.parametrize("case", sorted(NOT_YAML))
def test_what_is_no_yaml_is_not_installed(case: str) -> None:
    run = helm("template", "shop", CHART, *(f"--values={name}" for name in files_of(case)), folder=BAD)
    assert run.returncode
    assert not run.stdout


def test_only_the_reader_of_servers_says_what_helm_cannot_see() -> None:
    reader = {case for case in CASES if refused_by_ansible(files_of(case), BAD)[0:1] and is_of_the_reader(case)}
    assert reader == NOT_YAML | set(LOST_BY_HELM)


def is_of_the_reader(case: str) -> bool:
    """Whether the lines begin with a file, not with a path in the description."""
    return all(line.startswith(f"{case}.") for line in refused_by_ansible(files_of(case), BAD))


def test_lint_shows_the_same_lines() -> None:
    files = files_of("everything-at-once")
    lines = refused_by_ansible(files, BAD)
    assert len(lines) > 5
    assert refused_by_helm(files, BAD, ("lint", "--strict")) == lines


@pytest.mark.parametrize(("values", "path"), EDGES)
def test_both_targets_refuse_from_the_same_edge_on(tmp_path: Path, values: dict[str, Any], path: str | None) -> None:
    (tmp_path / "stack.yml").write_text(yaml.safe_dump(values))
    lines = refused_by_helm(["stack.yml"], tmp_path)
    assert lines == refused_by_ansible(["stack.yml"], tmp_path)
    assert bool(lines) == bool(path)


@pytest.mark.parametrize("seed", range(40))
def test_any_mistake_is_refused_in_the_same_words(tmp_path: Path, seed: int) -> None:
    (tmp_path / "stack.yml").write_text(yaml.safe_dump(with_mistakes(seed)))
    assert refused_by_helm(["stack.yml"], tmp_path) == refused_by_ansible(["stack.yml"], tmp_path)
