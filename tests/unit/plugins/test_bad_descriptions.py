"""Every bad description is refused with all its reasons, each in one line."""

from __future__ import annotations

import pytest
from ansible_collections.stalk.celery.plugins.module_utils.description.describe import describe
from ansible_collections.stalk.celery.plugins.module_utils.description.problems import Refused
from ansible_collections.stalk.celery.plugins.module_utils.description.surroundings import Surroundings
from bad_descriptions import BAD, CASES, expected_lines, files_of, inventory_groups


def refusal(case: str) -> list[str]:
    with pytest.raises(Refused) as refused:
        describe(files_of(case), BAD, Surroundings(inventory_groups()))
    return refused.value.lines


@pytest.mark.parametrize("case", CASES)
def test_all_reasons_are_given(case: str) -> None:
    assert refusal(case) == expected_lines(case)


@pytest.mark.parametrize("case", CASES)
def test_each_reason_is_a_line_with_path_reason_and_remedy(case: str) -> None:
    for line in expected_lines(case):
        path, _, rest = line.partition(": ")
        reason, _, remedy = rest.partition("; ")
        assert path
        assert reason
        assert remedy


@pytest.mark.parametrize("case", CASES)
def test_no_secret_is_repeated(case: str) -> None:
    assert not any(secret in line for line in refusal(case) for secret in ("hunter2", "very-secret", "ghp_"))


def test_there_are_enough_of_them() -> None:
    assert len(CASES) >= 50
