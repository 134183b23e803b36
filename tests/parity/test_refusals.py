"""Helm refuses each file of tests/bad in the words in which Ansible refuses it, and any other mistake too."""

from __future__ import annotations

import copy
import os
import random
import re
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.stalk.celery.plugins.module_utils.description.chart import chart_defaults
from ansible_collections.stalk.celery.plugins.module_utils.description.describe import describe
from ansible_collections.stalk.celery.plugins.module_utils.description.problems import Refused
from ansible_collections.stalk.celery.plugins.module_utils.description.surroundings import Surroundings
from bad_descriptions import BAD, CASES, ROOT, files_of, inventory_groups

HELM = ROOT / ".cache" / "bin" / "helm"
CHART = ROOT / "helm" / "stalk"
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
    r"|takes no lease, and the group beat has"
    r"|too; choose another port$"
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
    run = subprocess.run(
        [HELM, *command, CHART, *(f"--values={name}" for name in files)],
        cwd=folder,
        env=os.environ | {"KUBECONFIG": os.devnull},
        capture_output=True,
        text=True,
        check=False,
    )
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
    files = [f"--values={name}" for name in files_of(case)]
    run = subprocess.run([HELM, "template", "shop", CHART, *files], cwd=BAD, capture_output=True, check=False)
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


def oauth(emails: str) -> dict[str, Any]:
    return {"flower": {"auth": {"kind": "oauth", "emails": emails}}}


EDGES: tuple[tuple[dict[str, Any], bool], ...] = (
    ({"broker": {"maxmemory": "16383kb"}}, False),
    ({"broker": {"maxmemory": "16384KB"}}, True),
    ({"broker": {"maxmemory": "999999999999gb"}}, True),
    ({"broker": {"maxmemory": 16777215}}, False),
    ({"broker": {"maxmemory": 0}}, True),
    ({"broker": {"visibility_timeout": 3629}}, False),
    ({"broker": {"visibility_timeout": 3630}}, True),
    ({"pools": {"default": {"grace": 1829}}}, False),
    ({"pools": {"default": {"grace": 1830}}}, True),
    ({"pools": {"default": {"soft_time_limit": 1800}}}, False),
    ({"pools": {"default": {"soft_time_limit": 1800, "pool": "gevent"}}}, True),
    ({"pools": {"default": {"pool": "solo", "heartbeat_max_age": 1830}}}, True),
    ({"pool_defaults": {"grace": 100}, "pools": {"default": {"grace": None}}}, True),
    ({"tls": {"lifetime": "30d", "rotate_before": 2592000}}, False),
    ({"tls": {"lifetime": "5w", "rotate_before": "34d"}}, True),
    ({"tls": {"lifetime": "9999d"}}, True),
    ({"tls": {"lifetime": "10000d"}}, False),
    ({"pools": {"default": {"scale": {"min": 2, "max": 2}}}}, True),
    (oauth("a@b.example|c@d.example.org"), True),
    (oauth("a@b.example|c"), False),
    (oauth(".*@example.org"), True),
    (oauth(".*@example.org|a@b.example"), False),
    ({"app": {"env": {"API_KEY": 12345, "PUBLIC_KEY": "abc", "DEBUG_TOKEN": "no"}}}, True),
    ({"app": {"env": {"API_KEY": "a12345"}}}, False),
)


@pytest.mark.parametrize(("values", "good"), EDGES)
def test_both_targets_refuse_from_the_same_edge_on(tmp_path: Path, values: dict[str, Any], good: bool) -> None:
    (tmp_path / "stack.yml").write_text(yaml.safe_dump(values))
    lines = refused_by_helm(["stack.yml"], tmp_path)
    assert lines == refused_by_ansible(["stack.yml"], tmp_path)
    assert good == (lines == [])


# --- any mistake ------------------------------------------------------------------------------------------

ODD: tuple[Any, ...] = (
    None, True, -1, 0, 1, 2.5, 10**12, "", "x", "ä" * 300, "30d", " 4", "no", "\n", "a\u2028\x07\u00ad\"'\\ {path}", [],
    [None], ["a", "a"], [[]], {}, {"a": None}, {"": {}}, {"queues": ["x"]}, {"env": {"A_KEY": "v"}}, {"servers": None},
    {"kind": "oauth", "secret": "DATABASE_PASSWORD", "emails": "a@b"}, {"min": 5, "max": 3}, {"DATABASE_URL": "x"},
    ["DATABASE_URL", "PGSSLKEY", "A"], "external", "gevent", "solo", "auto", "hpa", {"*": "celry"}, 7200,
)  # fmt: skip


def places(values: dict[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for key, value in values.items():
        yield (*path, key)
        if isinstance(value, dict):
            yield from places(value, (*path, key))


def with_mistakes(seed: int) -> dict[str, Any]:
    chance = random.Random(seed)
    values = copy.deepcopy(chart_defaults())
    values["pools"]["second"] = {**copy.deepcopy(values["pool_defaults"]), "queues": ["second"]}
    for path in chance.sample(list(places(values)), k=chance.randint(1, 6)):
        above: Any = values
        for key in path[:-1]:
            above = above.get(key) if isinstance(above, dict) else None
        if isinstance(above, dict):
            above[chance.choice((path[-1], path[-1], path[-1], f"{path[-1]}s"))] = chance.choice(ODD)
    return values


@pytest.mark.parametrize("seed", range(40))
def test_any_mistake_is_refused_in_the_same_words(tmp_path: Path, seed: int) -> None:
    (tmp_path / "stack.yml").write_text(yaml.safe_dump(with_mistakes(seed)))
    assert refused_by_helm(["stack.yml"], tmp_path) == refused_by_ansible(["stack.yml"], tmp_path)
