"""Helm refuses each file of tests/bad in the words in which Ansible refuses it."""

from __future__ import annotations

import os
import subprocess

import pytest
from ansible_collections.stalk.celery.plugins.module_utils.description.chart import chart_defaults, chart_schema
from ansible_collections.stalk.celery.plugins.module_utils.description.describe import read_documents
from ansible_collections.stalk.celery.plugins.module_utils.description.merge import coalesce, merge_files
from ansible_collections.stalk.celery.plugins.module_utils.description.problems import Refused
from ansible_collections.stalk.celery.plugins.module_utils.description.schema_errors import schema_problems
from bad_descriptions import BAD, CASES, ROOT, files_of

HEADING = "nothing was changed.\n"


def refused_by_helm(case: str) -> list[str]:
    files = [f"--values={name}" for name in files_of(case)]
    run = subprocess.run(
        [ROOT / ".cache" / "bin" / "helm", "template", "shop", ROOT / "helm" / "stalk", *files],
        cwd=BAD,
        env=os.environ | {"KUBECONFIG": os.devnull},
        capture_output=True,
        text=True,
        check=False,
    )
    assert bool(run.returncode) == (HEADING in run.stderr), run.stderr
    return run.stderr.partition(HEADING)[2].partition("\n\n")[0].splitlines()


def refused_by_the_schema(case: str) -> list[str]:
    given = merge_files(document.values for document in read_documents(files_of(case), BAD))
    return sorted({problem.text for problem in schema_problems(coalesce(given, chart_defaults()), chart_schema())})


def readable(case: str) -> bool:
    try:
        read_documents(files_of(case), BAD)
    except Refused:
        return False
    return True


@pytest.mark.parametrize("case", [case for case in CASES if readable(case)])
def test_both_targets_refuse_in_the_same_words(case: str) -> None:
    assert refused_by_helm(case) == refused_by_the_schema(case)
