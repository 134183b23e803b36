"""Every cross-check: what the schema allows and Stalk refuses, because it would lose work or cannot run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

from ansible_collections.stalk.celery.plugins.module_utils.description.clear_text import clear_text_problems
from ansible_collections.stalk.celery.plugins.module_utils.description.inventory import inventory_problems
from ansible_collections.stalk.celery.plugins.module_utils.description.kubernetes_only import kubernetes_only_problems
from ansible_collections.stalk.celery.plugins.module_utils.description.limits import limit_problems
from ansible_collections.stalk.celery.plugins.module_utils.description.named_files import file_problems
from ansible_collections.stalk.celery.plugins.module_utils.description.placement import placement_problems
from ansible_collections.stalk.celery.plugins.module_utils.description.problems import Path, Problem, overlap
from ansible_collections.stalk.celery.plugins.module_utils.description.queues import queue_problems
from ansible_collections.stalk.celery.plugins.module_utils.description.surroundings import Surroundings
from ansible_collections.stalk.celery.plugins.module_utils.description.variables import variable_problems


def refusals(values: Mapping[str, Any], broken: Sequence[Path], surroundings: Surroundings) -> list[Problem]:
    """All problems but those that follow from a broken value, which has its own line already."""
    problems: Iterator[Problem] = chain(
        limit_problems(values),
        queue_problems(values),
        clear_text_problems(values),
        variable_problems(values, surroundings),
        kubernetes_only_problems(values),
        inventory_problems(values, surroundings),
        placement_problems(values, surroundings),
        file_problems(values, surroundings),
    )
    return [
        problem
        for problem in problems
        if not any(overlap(path, bad) for path in (problem.path, *problem.uses) for bad in broken)
    ]
