"""Says a refusal in the words that both targets share."""

from __future__ import annotations

import re
from typing import Any

from ansible_collections.stalk.celery.plugins.module_utils.description.chart import chart_words
from ansible_collections.stalk.celery.plugins.module_utils.description.problems import Path, Problem

FACT = re.compile(r"\{([a-z_]+)\}")
SAYINGS = chart_words("sayings")


def said(text: str, **facts: Any) -> str:
    """The text with its facts in place."""
    return FACT.sub(lambda match: str(facts.get(match[1], match[0])), text)


def refusal(saying: str, path: Path, *uses: Path, **facts: Any) -> Problem:
    """The problem at the path, as sayings.yaml words it; `uses` are further paths than those named there."""
    words = SAYINGS[saying]
    named = [tuple(said(use, **facts).split(".")) for use in words.get("uses", ())]
    return Problem(path, said(words["reason"], **facts), said(words["remedy"], **facts), (*named, *uses), saying)


def remedy_said(name: str, **facts: Any) -> str:
    return said(SAYINGS["remedies"][name], **facts)
