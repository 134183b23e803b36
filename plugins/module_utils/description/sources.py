"""Finds the files that a description names: each path is relative to the file that names it."""

from __future__ import annotations

import copy
import os
from collections.abc import Sequence
from pathlib import Path as File

from ansible_collections.stalk.celery.plugins.module_utils.description.documents import Document
from ansible_collections.stalk.celery.plugins.module_utils.description.merge import Values
from ansible_collections.stalk.celery.plugins.module_utils.description.problems import Path

COLLECTION = File(__file__).resolve().parents[3]
SAMPLE_APP = COLLECTION / "sample_app"

PATHS: tuple[tuple[str, ...], ...] = (
    ("app", "servers", "source"),
    ("tls", "servers", "ca", "certificate"),
    ("tls", "servers", "ca", "key"),
    ("broker", "servers", "ca"),
    ("broker", "servers", "certificate"),
    ("broker", "servers", "key"),
    ("results", "servers", "ca"),
    ("web", "servers", "certificate"),
    ("web", "servers", "key"),
    ("servers", "extra_ca"),
)


def with_absolute_paths(values: Values, documents: Sequence[Document], folder: File) -> Values:
    values = copy.deepcopy(values)
    for path in PATHS:
        above = values
        for key in path[:-1]:
            above = above[key]
        stated = above[path[-1]]
        if stated:
            above[path[-1]] = os.path.normpath(naming_folder(path, documents, folder) / File(stated).expanduser())
    servers = values["app"]["servers"]
    servers["source"] = servers["source"] or str(SAMPLE_APP)
    return values


def naming_folder(path: Path, documents: Sequence[Document], folder: File) -> File:
    for document in reversed(documents):
        if path in document.lines:
            return (folder / File(document.name).expanduser()).parent
    return folder
