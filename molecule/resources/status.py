"""What the playbook `status` says."""

from __future__ import annotations

from resources.deployment import Deployment


def status(deployment: Deployment) -> str:
    """In one line; its own are as wide as a terminal."""
    return " ".join(deployment.play("status.yml").output.split())
