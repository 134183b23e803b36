"""What a module of this collection answers on the host of an action."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ansible.plugins.action import ActionBase


class HostFailed(Exception):
    """The host cannot be reached, or the module failed there; the action ends with its answer."""

    def __init__(self, answer: dict[str, Any]) -> None:
        self.answer = answer
        super().__init__()


def host_answer(action: ActionBase, variables: dict[str, Any], module: str, **arguments: Any) -> dict[str, Any]:
    """Of `stalk.celery.<module>` with these arguments. Raises HostFailed."""
    answer: dict[str, Any] = action._execute_module(
        f"stalk.celery.{module}", module_args=arguments, task_vars=variables
    )
    if answer.get("failed") or answer.get("unreachable"):
        raise HostFailed(answer)
    return answer
