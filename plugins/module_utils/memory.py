"""What the runs so far left where, in a small file on the control node: what a further run must not leave behind."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

HEADING = "# Where Stalk deployed what; its playbooks keep this file.\n"


# Beside the components, where the broker is that somebody else provides.
EXTERNAL = "external"


class MemoryUnreadable(Exception):
    """One line: which file, why not, what to do."""


@dataclass(frozen=True)
class Memory:
    """Component, a broker by its kind, to the hosts that have it, pool to the queues that it takes messages from, and
    the queues that no pool takes any more and that nobody has seen empty since."""

    hosts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    pools: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    left: tuple[str, ...] = ()

    @property
    def queues(self) -> set[str]:
        """All that ever had a pool, as far as messages may still be in them."""
        return {queue for queues in self.pools.values() for queue in queues} | set(self.left)

    def placed(self, component: str, group: Collection[str], converged: Iterable[str]) -> Memory:
        """After a run that brought `component`, or the kind of it, to some hosts of its group."""
        hosts = sorted({*self.hosts.get(component, ()), *converged} & set(group))
        return replace(self, hosts={**self.hosts, component: tuple(hosts)})

    def without(self, component: str) -> Memory:
        """After a run that ended `component` on all its hosts."""
        return replace(self, hosts={name: hosts for name, hosts in self.hosts.items() if name != component})

    def consumed(self, pools: Mapping[str, Iterable[str]], *, only: bool) -> Memory:
        """With these pools, and no others once those have stopped."""
        described = {name: tuple(queues) for name, queues in pools.items()}
        if only:
            taken = {queue for queues in described.values() for queue in queues}
            return replace(self, pools=described, left=tuple(sorted(self.queues - taken)))
        both = {
            name: tuple(dict.fromkeys((*self.pools.get(name, ()), *described.get(name, ()))))
            for name in (*self.pools, *described)
        }
        return replace(self, pools=both)


def file_name(app: str) -> str:
    return f"deployed-{app}.yml"


def recall(folder: Path, app: str) -> Memory:
    """An absent file is an empty memory."""
    import yaml

    path = folder / file_name(app)
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        left = lists({"left": found.get("left") or ()})["left"]
        return Memory(lists(found.get("hosts")), lists(found.get("pools")), left)
    except FileNotFoundError:
        return Memory()
    except OSError as error:
        raise MemoryUnreadable(f"{path}: cannot be read ({error.strerror}); correct its owner and mode") from None
    except (ValueError, AttributeError, TypeError, yaml.YAMLError):
        raise MemoryUnreadable(f"{path}: is no map of lists; mend it, or remove it to forget all") from None


def lists(found: Any) -> dict[str, tuple[str, ...]]:
    return {str(name): tuple(str(value) for value in values) for name, values in (found or {}).items()}


def keep(folder: Path, app: str, memory: Memory) -> None:
    """Replaces the file at once; one that says the same stays."""
    import yaml

    content = {
        "hosts": {str(name): list(map(str, hosts)) for name, hosts in memory.hosts.items()},
        "pools": {str(name): list(map(str, queues)) for name, queues in memory.pools.items()},
        **({"left": list(memory.left)} if memory.left else {}),
    }
    # A line for each entry, so that a person can remove one.
    text = HEADING + yaml.safe_dump(content, default_flow_style=None, width=1_000_000, sort_keys=True)
    path = folder / file_name(app)
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = folder / f".{path.name}.{os.getpid()}"
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)
