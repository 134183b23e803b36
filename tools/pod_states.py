"""What a pod waits for, in the words of Kubernetes."""

from __future__ import annotations

from typing import Any

ON_ITS_WAY = {"", "PodInitializing", "ContainerCreating"}


def is_done(pod: dict[str, Any]) -> bool:
    """Whether it is ready, or has ended as a Job's pod does."""
    if pod["status"].get("phase") == "Succeeded":
        return True
    return any(one["type"] == "Ready" and one["status"] == "True" for one in pod["status"].get("conditions", []))


def trouble_of(pod: dict[str, Any]) -> str:
    """Why it does not come up; nothing while it is on its way."""
    status = pod["status"]
    for condition in status.get("conditions", []):
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            return f"no node takes it: {condition.get('message', condition.get('reason', ''))}"
    for container in (*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])):
        waiting = container["state"].get("waiting", {})
        if waiting.get("reason", "") not in ON_ITS_WAY:
            return f"container {container['name']}: {waiting['reason']}: {waiting.get('message', '')}".rstrip(": ")
        ended = container["state"].get("terminated", {})
        if ended.get("exitCode"):
            return f"container {container['name']} ended with code {ended['exitCode']}"
    return ""


def container_in_trouble(pod: dict[str, Any]) -> str:
    """The container that has failed, whose log may tell why; nothing when none has."""
    status = pod["status"]
    for container in (*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])):
        failed = [container.get(state, {}).get("terminated", {}).get("exitCode") for state in ("state", "lastState")]
        if any(failed):
            return str(container["name"])
    return ""
