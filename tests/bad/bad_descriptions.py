"""The files of tests/bad: each `NAME.yml` (and `NAME.second.yml` over it) has its refusal in `NAME.expected`."""

from __future__ import annotations

from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
BAD = ROOT / "tests" / "bad"
INVENTORY = BAD / "inventory" / "hosts.yml"

CASES = sorted(path.stem for path in BAD.glob("*.yml") if not path.stem.endswith(".second"))


def files_of(case: str) -> list[str]:
    names = [f"{case}.yml", f"{case}.second.yml"]
    return [name for name in names if (BAD / name).exists()]


def expected_lines(case: str) -> list[str]:
    """`ROOT` in a file stands for the checkout."""
    return (BAD / f"{case}.expected").read_text().replace("ROOT", str(ROOT)).splitlines()


def inventory_groups() -> dict[str, list[str]]:
    groups = {
        name: sorted(group["hosts"])
        for name, group in yaml.safe_load(INVENTORY.read_text()).items()
        if "hosts" in group
    }
    return {**groups, "all": sorted({host for hosts in groups.values() for host in hosts})}
