"""The event by which workers tell each other, and Flower, that they live; sent while the broker is there.

Celery sends it again until it arrives, from the main loop: while the broker is away nothing else goes on then, the
heartbeat file grows stale and SIGTERM is not heard (celery 5.7.0, worker/heartbeat.py, `_send` with `retry=True`;
kombu 5.7.0, connection.py, `ensure` without `max_retries`). The next event says the same.
"""

from __future__ import annotations

from typing import Any

from celery.worker import heartbeat
from celery.worker.consumer import heart


class UnretriedHeart(heartbeat.Heart):
    def _send(self, event: str, retry: bool = False) -> Any:
        return super()._send(event, retry=False)


class Heart(heart.Heart):
    """Celery's step with that heart."""

    def start(self, c: Any) -> None:
        c.heart = UnretriedHeart(c.timer, c.event_dispatcher, self.heartbeat_interval)
        c.heart.start()
