"""From file names to the fact `stack`, or to every reason why there is none."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path as File
from typing import Any

from ansible_collections.stalk.celery.plugins.module_utils.description.chart import chart_defaults, chart_schema
from ansible_collections.stalk.celery.plugins.module_utils.description.derive import derive
from ansible_collections.stalk.celery.plugins.module_utils.description.documents import Document, read_document
from ansible_collections.stalk.celery.plugins.module_utils.description.merge import Values, coalesce, merge_files
from ansible_collections.stalk.celery.plugins.module_utils.description.problems import Path, Problem, Refused
from ansible_collections.stalk.celery.plugins.module_utils.description.refusals import refusals
from ansible_collections.stalk.celery.plugins.module_utils.description.repair import repaired
from ansible_collections.stalk.celery.plugins.module_utils.description.schema_errors import schema_problems
from ansible_collections.stalk.celery.plugins.module_utils.description.sources import with_absolute_paths
from ansible_collections.stalk.celery.plugins.module_utils.description.surroundings import Surroundings
from ansible_collections.stalk.celery.plugins.module_utils.leaving_broker import leaving_brokers
from ansible_collections.stalk.celery.plugins.module_utils.memory import Memory, recall
from ansible_collections.stalk.celery.plugins.module_utils.preflight import departing_pools
from ansible_collections.stalk.celery.plugins.module_utils.project_source import digest

DIGEST_LENGTH = 12


def describe(names: Sequence[str], folder: File, surroundings: Surroundings | None) -> Values:
    """The fact `stack` of these files; without surroundings, of no server. Raises Refused with all reasons at once."""
    documents = read_documents(names, folder)
    defaults = chart_defaults()

    given = merge_files(document.values for document in documents)
    problems = schema_problems(coalesce(given, defaults), chart_schema())
    values, broken = repaired(given, defaults, problems)
    values = with_absolute_paths(values, documents, folder)
    problems += refusals(values, broken, surroundings)
    if problems:
        raise Refused(written(problems, documents))

    servers = values["app"]["servers"]
    version = servers["version"] or release_version(File(servers["source"]))
    described = derive({**values, "app": {**values["app"], "servers": {**servers, "version": version}}})
    memory = remembered(described, surroundings) if surroundings else {}
    return {**described, "broker": {**described["broker"], **memory}}


def remembered(stack: Values, surroundings: Surroundings) -> dict[str, Any]:
    """Pool to the queues that it took messages from in the last run, and that no pool would any more; and component to
    the hosts that have it, of brokers of another kind."""
    memory = recall(surroundings.state, stack["app"]["name"]) if surroundings.state else Memory()
    return {"departing": departing_pools(memory, stack), "leaving": leaving_brokers(memory, stack["broker"]["kind"])}


def release_version(source: File) -> str:
    """A release is named after what is in it."""
    try:
        return digest(source)[:DIGEST_LENGTH]
    except OSError as error:
        raise Refused(
            [f"app.servers.source: {error.filename} cannot be read ({error.strerror}); correct its owner and mode"]
        ) from None


def read_documents(names: Sequence[str], folder: File) -> list[Document]:
    documents, lines = [], []
    for name in names:
        try:
            documents.append(read_document(name, folder))
        except Refused as refused:
            lines += refused.lines
    if lines:
        raise Refused(lines)
    return documents


def written(problems: Sequence[Problem], documents: Sequence[Document]) -> list[str]:
    """The problems' lines, in the order of the files, each with where its path was written last."""
    placed = {problem.text: place(problem.path, documents) for problem in problems}
    order = {text: (where[0], where[1]) for text, where in placed.items()}
    return [
        f"{text} [{where[2]}]" if (where := placed[text])[2] else text
        for text in sorted(placed, key=lambda text: (order[text], text))
    ]


def place(path: Path, documents: Sequence[Document]) -> tuple[int, int, str]:
    """Number of the file, line and `file:line`; of the nearest path above when the path itself is nowhere."""
    for depth in range(len(path), 0, -1):
        for number, document in reversed(list(enumerate(documents))):
            line = document.lines.get(path[:depth])
            if line is not None:
                return number, line, f"{document.name}:{line}"
    return len(documents), 0, ""
