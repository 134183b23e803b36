"""RabbitMQ without room: it confirms nothing, `status` and an alert say why, the outbox sends once there is room."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from resources.deployment import Deployment
from resources.effects import once
from resources.status import status
from resources.waiting import wait_for

SECONDS_UNTIL_THE_OUTBOX_HAS_SENT = 300
LITTLE_MEMORY = ("set_vm_memory_high_watermark", "absolute", "1MB")
LITTLE_DISK = ("set_disk_free_limit", "100000GB")


@pytest.mark.parametrize(
    ("limit", "alarm", "problem", "alert"),
    [
        (LITTLE_MEMORY, "memory", "of its memory is used", "RabbitMQIsShortOfMemory"),
        (LITTLE_DISK, "disk", "has less free disk than broker.disk_free_limit", "RabbitMQIsShortOfDisk"),
    ],
)
def test_nothing_is_taken_in_a_shortage_and_no_task_is_lost(
    deployment: Deployment,
    alerts: Callable[[], set[str]],
    limit: tuple[str, ...],
    alarm: str,
    problem: str,
    alert: str,
) -> None:
    server, app = deployment.first("rabbitmq"), deployment.app
    rabbitmqctl = f"/usr/local/lib/{app}/rabbitmqctl"

    def alarms() -> str:
        return server.run(rabbitmqctl, "eval", "rabbit_alarm:get_alarms().")

    server.run(rabbitmqctl, *limit)
    try:
        wait_for(f"RabbitMQ is short of {alarm}", lambda: alarm in alarms())
        keys = deployment.send_effects("without-room", 3, 0)
        wait_for("the management API has looked", lambda: problem in status(deployment))
        wait_for("an alert is raised", lambda: alert in alerts())
        assert (deployment.unsent(keys), deployment.ledger(keys)) == (len(keys), {})
    finally:
        server.run("systemctl", "reload", f"{app}-rabbitmq.service")
    assert once(deployment.all_effects(keys, SECONDS_UNTIL_THE_OUTBOX_HAS_SENT))
    assert alarm not in alarms()
    wait_for("the alert is over", lambda: alert not in alerts())
