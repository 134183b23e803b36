"""A release on a host that has workers as well as those that send."""

from __future__ import annotations

from pathlib import Path

import pytest
from resources.deployment import Deployment
from resources.load import flow
from resources.releases import AS_BEAT, current_on, release_of, run_by

POOL, BEAT, WEB = "shop-worker@default.service", "shop-beat.service", "shop-web.service"


@pytest.mark.long
def test_a_rollback_after_a_beat_that_did_not_come_up_brings_all_to_what_ran(
    deployment: Deployment, tmp_path: Path
) -> None:
    server = deployment.first("worker")
    before = current_on(deployment, server)
    with flow(deployment):
        run = deployment.site_by("deploy.yml", changes=release_of(deployment, tmp_path, "without-beat", AS_BEAT))
        assert run.rc != 0, run.output
        assert f"is back at the release {before}, but for what came up with the new one." in run.output
        assert run_by(deployment, server, BEAT) == run_by(deployment, server, WEB) == before
        assert run_by(deployment, server, POOL) == "without-beat"

        back = deployment.play("rollback.yml")
        assert back.rc == 0, back.output
    assert {run_by(deployment, server, unit) for unit in (POOL, BEAT, WEB)} == {before}
    assert server.attempt("test", "-e", f"/etc/{deployment.app}/before").returncode != 0
    assert deployment.site().changed == 0
