"""The server restarts: everything returns by itself, in order."""

from __future__ import annotations

from typing import Any

from resources.deployment import Deployment
from resources.effects import once
from resources.waiting import wait_for

MOMENT = "ActiveEnterTimestampMonotonic"


def test_everything_returns_after_a_reboot_and_no_order_is_lost(deployment: Deployment) -> None:
    app, server = deployment.app, deployment.first("web")
    patterns = (f"{app}-*", f"{app}.target", "nginx.service", "postgresql@*.service")
    before = set(server.units("--state=active", *patterns))
    shop = deployment.shop()
    batch = shop.place_orders(30)

    server.restart()
    wait_for("the system is up", lambda: server.attempt("systemctl", "is-system-running").stdout.strip() == "running")
    wait_for("every unit is back", lambda: before <= set(server.units("--state=active", *patterns)))

    shop = deployment.shop()

    def finished() -> dict[str, Any] | None:
        answer = shop.session.get(f"{shop.root}/orders.json", params={"batch": batch}, timeout=30)
        return answer.json() if answer.ok and not answer.json()["moving"] else None

    progress = wait_for("the orders from before are through", finished, seconds=180)
    assert progress["notified"] == 30

    def started(unit: str) -> int:
        return int(server.property(unit, MOMENT))

    (database,) = server.units("postgresql@*.service")
    stores = max(started(f"{app}-redis.service"), started(database))
    users = [f"{app}-web.service", f"{app}-beat.service", *server.units(f"{app}-worker@*.service")]
    assert [unit for unit in users if started(unit) < stores] == []


def test_after_the_reboot_tasks_go_through_every_pool(deployment: Deployment) -> None:
    queues = [pool["queues"][0] for pool in deployment.pools().values()]
    keys = [deployment.send_effects(f"rebooted-{queue}", 1, 0, queue)[0] for queue in queues]
    assert once(deployment.all_effects(keys))
