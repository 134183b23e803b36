"""What a run would end or leave behind, judged before it changes anything. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from ansible_collections.stalk.celery.plugins.module_utils.memory import Memory

# Components that take over a service of the distribution.
TAKEN_OVER = ("redis", "postgresql", "web")
PRIORITY_SEPARATOR = "\x06\x16"


def described_queues(stack: Mapping[str, Any]) -> set[str]:
    return {queue for pool in stack["pools"].values() for queue in pool["queues"]}


def departing_queues(memory: Memory, stack: Mapping[str, Any]) -> set[str]:
    """Queues that pools took messages from and none would any more."""
    return memory.queues - described_queues(stack)


def departing_pools(memory: Memory, stack: Mapping[str, Any]) -> dict[str, list[str]]:
    """Those queues, by pool."""
    queues = departing_queues(memory, stack)
    found = {pool: sorted(queues & set(own)) for pool, own in memory.pools.items()}
    return {pool: own for pool, own in found.items() if own}


def names(given: Any) -> list[str]:
    """`data1,data2` of the command line, or a list."""
    return (
        [name.strip() for name in given.split(",")] if isinstance(given, str) else [str(name) for name in given or []]
    )


def foreign_problems(host: str, found: Mapping[str, str], allowed: Collection[str]) -> Iterator[str]:
    """Services that others rely on and a role would end or reconfigure."""
    if host in allowed:
        return
    for component, what in found.items():
        yield (
            f"{component} on {host}: {what}, and Stalk would take it over; drain and stop it, name another host in the "
            f"group {component}, or go on with -e stalk_take_over={host}"
        )


def queue_problems(
    broker: Mapping[str, Any], memory: Memory, stack: Mapping[str, Any], abandoned: Collection[str]
) -> Iterator[str]:
    """Messages that nobody would take. Who remembers no pools asks for every queue that the description lacks."""
    departing = departing_queues(memory, stack) - set(abandoned)
    if "error" in broker:
        for queue in sorted(departing):
            yield stranding(queue, f"the broker does not tell how many messages wait ({broker['error']})")
        return
    waiting: dict[str, int] = {}
    for name, length in broker["queues"].items():
        queue = name.partition(PRIORITY_SEPARATOR)[0]
        waiting[queue] = waiting.get(queue, 0) + length
    suspects = departing if memory.pools else set(waiting) - described_queues(stack) - set(abandoned)
    for queue in sorted(suspects):
        if count := waiting.get(queue, 0):
            yield stranding(queue, f"{messages(count)} {'waits' if count == 1 else 'wait'}")


def held_problems(
    host: str, reserved: Mapping[str, int], departing: Mapping[str, list[str]], abandoned: Collection[str]
) -> Iterator[str]:
    """Messages that a worker took ahead of their time and would give back to a queue that nobody consumes."""
    for pool, count in reserved.items():
        queues = [queue for queue in departing[pool] if queue not in abandoned]
        if count and queues:
            yield stranding(queues[0], f"pool {pool} on {host} holds {messages(count)} for later")


def messages(count: int) -> str:
    return f"{count} message{'' if count == 1 else 's'}"


def stranding(queue: str, reason: str) -> str:
    return (
        f"queue {queue}: {reason} and no pool would consume it; keep a pool for it until it is empty, "
        f"or leave what it holds with -e stalk_abandon={queue}"
    )
