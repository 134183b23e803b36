"""What a fault is, and where faults happen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Generic

from .happening import Target


@dataclass(frozen=True)
class Fault(Generic[Target]):
    """`make test` has those that are `short`, `make faults` has all. `plain` does it to the plain set-up."""

    name: str
    do: Callable[[Target], object]
    plain: Callable[[Target], object] | None = None
    short: bool = False


@dataclass(frozen=True)
class Scene(Generic[Target]):
    """`name` is that of the table and the plot."""

    name: str
    faults: Sequence[Fault[Target]]
    deployed: Callable[[], AbstractContextManager[Target]]
