"""The images that `tools/prepare images` has built of this machine's packages and of sample_app."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
VALUES = ROOT / "build" / "images.yml"
"""Values of the chart that name them."""


def names() -> list[str]:
    """What the nodes of a cluster have to know, before a release with these values."""
    return sorted(set(_names(yaml.safe_load(VALUES.read_text()))))


def _names(values: dict[str, Any]) -> list[str]:
    if "repository" in values:
        return [f"{values['repository']}:{values['tag']}"]
    return [name for value in values.values() if isinstance(value, dict) for name in _names(value)]
