"""Every certificate has expired, as where a server was off for a year."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from resources.deployment import Deployment
from resources.effects import once

FOLDER = "/etc/shop/pki"


def let_expire(deployment: Deployment) -> None:
    server = deployment.first("worker")
    for name in server.run("sh", "-c", f"cd {FOLDER} && ls *.key").split():
        leaf = deployment.authority.leaf(Path(name).stem, ends_in=-timedelta(hours=1))
        server.run("sh", "-c", f"cat >{FOLDER}/{Path(name).stem}.crt", stdin=leaf.certificate)
        server.run("sh", "-c", f"cat >{FOLDER}/{name}", stdin=leaf.key)
    server.restart()


def test_new_ones_bring_every_task_through(deployment: Deployment) -> None:
    waiting = deployment.send_effects("waiting", 10, 0, countdown=30)
    let_expire(deployment)
    run = deployment.play("rotate_tls.yml")
    assert run.rc == 0, run.output
    assert once(deployment.all_effects(waiting))
    assert once(deployment.all_effects(deployment.send_effects("after", 10, 0)))
    assert deployment.site().changed == 0
