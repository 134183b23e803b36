from __future__ import annotations

from celery import Celery


def install(app: Celery) -> None:
    """Add what a worker of a Stalk app needs: the heartbeat file."""
