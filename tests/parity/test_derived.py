"""One description goes through both targets unchanged, and both derive the same of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.stalk.celery.plugins.module_utils.description.describe import describe
from ansible_collections.stalk.celery.plugins.module_utils.description.surroundings import Surroundings
from pems import make

from tests.parity.derived import flat
from tests.parity.descriptions import ROOT, cases, generated, issuer, secrets
from tests.parity.differences import ABSENT, Difference, on_purpose
from tests.parity.on_kubernetes import Kubernetes, rendered
from tests.parity.on_servers import GROUPS, Server

CASES = cases()
SEEDS = range(12)

Found = tuple[dict[str, tuple[Any, Any]], dict[str, Any]]
Compare = Callable[[tuple[Path, ...]], Found]


@pytest.fixture(scope="session")
def compare(tmp_path_factory: pytest.TempPathFactory) -> Compare:
    """What differs between the targets, and the fact `stack`."""
    state, own = tmp_path_factory.mktemp("state"), tmp_path_factory.mktemp("own")
    make(authority=True, end=datetime.now(UTC) + timedelta(days=300)).write(own, "ca")
    (own / "ca.yml").write_text("tls: {servers: {ca: {certificate: ca.crt, key: ca.key}}}\n")

    @cache
    def compared(files: tuple[Path, ...]) -> Found:
        if "provided" in map(issuer, files):
            files = (*files, own / "ca.yml")
        stack = describe([str(file) for file in files], ROOT, Surroundings(GROUPS, secrets(files)))
        servers = flat(Server(stack, state, secrets(files)).derived())
        kubernetes = flat(Kubernetes(stack, rendered(files)).derived())
        paths = sorted(servers.keys() | kubernetes.keys())
        pairs = {path: (servers.get(path, ABSENT), kubernetes.get(path, ABSENT)) for path in paths}
        return {path: (one, other) for path, (one, other) in pairs.items() if one != other}, stack

    return compared


def explanations(path: str, pair: tuple[Any, Any], stack: dict[str, Any]) -> list[Difference]:
    return [each for each in on_purpose(stack) if each.explains(path, *pair, stack["app"]["name"])]


def unexplained(found: Found) -> list[str]:
    differences, stack = found
    return [
        f"{path}: {pair[0]!r} on servers, {pair[1]!r} on Kubernetes"
        for path, pair in differences.items()
        if not explanations(path, pair, stack)
    ]


@pytest.mark.parametrize("case", CASES)
def test_both_targets_derive_the_same(case: str, compare: Compare) -> None:
    assert unexplained(compare(CASES[case])) == []


@pytest.mark.parametrize("seed", SEEDS)
def test_both_targets_derive_the_same_of_what_chance_wrote(seed: int, compare: Compare, tmp_path: Path) -> None:
    file = tmp_path / "stack.yml"
    file.write_text(yaml.safe_dump(generated(seed), sort_keys=False))
    assert unexplained(compare((file,))) == [], file.read_text()


def test_every_difference_on_purpose_is_seen(compare: Compare) -> None:
    """What is no longer true leaves the list."""
    listed, seen = set(), set()
    for differences, stack in map(compare, CASES.values()):
        listed |= {each.paths for each in on_purpose(stack)}
        seen |= {each.paths for path, pair in differences.items() for each in explanations(path, pair, stack)}
    assert sorted(listed - seen) == []


def test_the_routes_are_in_one_order(compare: Compare) -> None:
    _, stack = compare(CASES["03-routes-that-overlap"])
    assert list(json.loads(stack["environment"]["CELERY_TASK_ROUTES"])) == [
        "shop.tasks.send",
        "shop.tasks.s*d",
        "shop.tasks.*",
        "billing.*",
        "invoice.*",
        "*.send",
        "shop.*",
        "*",
    ]
