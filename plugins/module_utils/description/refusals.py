"""Every cross-check: what the schema allows and Stalk refuses, because it would lose work or cannot run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

from ansible_collections.stalk.celery.plugins.module_utils.description.choices import choice_problems
from ansible_collections.stalk.celery.plugins.module_utils.description.clear_text import clear_text_problems
from ansible_collections.stalk.celery.plugins.module_utils.description.flower import flower_problems
from ansible_collections.stalk.celery.plugins.module_utils.description.given_secrets import given_secret_problems
from ansible_collections.stalk.celery.plugins.module_utils.description.inventory import inventory_problems
from ansible_collections.stalk.celery.plugins.module_utils.description.kubernetes_only import kubernetes_only_problems
from ansible_collections.stalk.celery.plugins.module_utils.description.limits import limit_problems
from ansible_collections.stalk.celery.plugins.module_utils.description.named_files import file_problems
from ansible_collections.stalk.celery.plugins.module_utils.description.placement import placement_problems
from ansible_collections.stalk.celery.plugins.module_utils.description.ports import port_problems
from ansible_collections.stalk.celery.plugins.module_utils.description.problems import Path, Problem, overlap
from ansible_collections.stalk.celery.plugins.module_utils.description.queues import queue_problems
from ansible_collections.stalk.celery.plugins.module_utils.description.scale import scale_problems
from ansible_collections.stalk.celery.plugins.module_utils.description.surroundings import Surroundings
from ansible_collections.stalk.celery.plugins.module_utils.description.variables import variable_problems


def refusals(values: Mapping[str, Any], broken: Sequence[Path], surroundings: Surroundings | None) -> list[Problem]:
    """All problems but those that follow from a broken value, which has its own line already."""
    return [
        problem
        for problem in chain(of_both_targets(values), of_servers(values, surroundings) if surroundings else ())
        if not any(overlap(path, bad) for path in (problem.path, *problem.uses) for bad in broken)
    ]


def of_both_targets(values: Mapping[str, Any]) -> Iterator[Problem]:
    """What the chart's templates/description/ refuse too."""
    yield from limit_problems(values)
    yield from choice_problems(values)
    yield from port_problems(values)
    yield from scale_problems(values)
    yield from queue_problems(values)
    yield from clear_text_problems(values)
    yield from variable_problems(values)
    yield from flower_problems(values)


def of_servers(values: Mapping[str, Any], surroundings: Surroundings) -> Iterator[Problem]:
    yield from kubernetes_only_problems(values)
    yield from given_secret_problems(values, surroundings)
    yield from inventory_problems(values, surroundings)
    yield from placement_problems(values, surroundings)
    yield from file_problems(values, surroundings)
