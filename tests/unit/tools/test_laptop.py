"""The secrets of a laptop: made once, for nobody else."""

from __future__ import annotations

from pathlib import Path
from stat import S_IMODE
from typing import Any

import pytest
from laptop import LaptopFailed, make_secrets

PROJECT: dict[str, Any] = {
    "x-secrets": {"DATABASE_URL": "postgresql://shop:{DATABASE_PASSWORD}@postgresql/shop"},
    "secrets": {name: {} for name in ("DATABASE_URL", "DATABASE_PASSWORD", "DJANGO_SECRET_KEY", "people")},
    "services": {"flower": {"environment": {"FLOWER_OPTIONS_JSON": '{"auth": {"secret": "people"}}'}}},
}


def test_they_are_made_once_and_nobody_else_comes_to_them(tmp_path: Path) -> None:
    folder = tmp_path / "laptop" / "secrets"
    make_secrets(PROJECT, folder)
    made = {path.name: path.read_text() for path in folder.iterdir()}
    assert made.keys() == PROJECT["secrets"].keys()
    assert made["DATABASE_URL"] == f"postgresql://shop:{made['DATABASE_PASSWORD'].strip()}@postgresql/shop\n"
    assert made["people"].startswith("admin:")
    assert S_IMODE(folder.stat().st_mode) == 0o700
    # The users of the containers are not this one.
    assert {S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o444}
    make_secrets(PROJECT, folder)
    assert {path.name: path.read_text() for path in folder.iterdir()} == made


def test_one_that_stalk_does_not_make_is_asked_for(tmp_path: Path) -> None:
    project = {**PROJECT, "secrets": {**PROJECT["secrets"], "STRIPE_KEY": {}}}
    with pytest.raises(LaptopFailed, match=r"^secret STRIPE_KEY: .*/STRIPE_KEY is missing, and .*; write it there$"):
        make_secrets(project, tmp_path)
    (tmp_path / "STRIPE_KEY").write_text("mine\n")
    make_secrets(project, tmp_path)
    assert (tmp_path / "STRIPE_KEY").read_text() == "mine\n"
