"""A host's workers end their tasks and stop; what takes longer is named, and goes on."""

from __future__ import annotations

import pytest
from resources.deployment import Deployment
from resources.effects import SECONDS_UNTIL_A_LOST_MESSAGE_IS_BACK, once
from resources.waiting import wait_for

UNIT = "shop-worker@reports.service"
# The others of the host have stopped by then.
PATIENCE = 20
SECONDS = 3 * PATIENCE


def test_a_drain_waits_for_tasks_and_says_what_still_runs(deployment: Deployment) -> None:
    server = deployment.servers["worker2"]
    (long,) = deployment.send_effects("long", 1, SECONDS, "reports")
    wait_for("it runs", lambda: deployment.ledger([long]))
    drain = ("drain.yml", "--limit", server.name)

    impatient = deployment.play(*drain, stalk_seconds=PATIENCE)
    assert impatient.rc != 0, impatient.output
    assert impatient.message.startswith(
        f"{UNIT} still runs 1 task after {PATIENCE} s; no more are taken. Run again to "
    )
    assert server.property(UNIT, "ActiveState") == "deactivating"

    patient = deployment.play(*drain)
    assert patient.rc == 0, patient.output
    assert not server.units("--state=active,deactivating", "shop-worker@*")
    assert deployment.ledger([long])[long].starts == 1
    assert once(deployment.all_effects([long]))
    assert deployment.play(*drain).changed == 0

    # Others take what comes meanwhile.
    assert once(deployment.all_effects(deployment.send_effects("elsewhere", 10, 0)))
    assert deployment.converge().changed > 0
    assert server.is_active(UNIT)


def test_one_that_still_ends_its_tasks_is_started_again_once_it_has_and_is_not_as_patient_then(
    deployment: Deployment,
) -> None:
    server = deployment.servers["worker2"]
    (long,) = deployment.send_effects("given-up", 1, 2 * PATIENCE, "reports")
    wait_for("it runs", lambda: deployment.ledger([long]))
    given_up = deployment.play("drain.yml", "--limit", server.name, stalk_pools=["default", "reports"], stalk_seconds=1)
    assert given_up.rc != 0, given_up.output
    assert server.property(UNIT, "TimeoutStopUSec") == "infinity"
    deployment.converge()
    assert deployment.ledger([long])[long].starts == 1
    assert once(deployment.all_effects([long]))
    assert server.is_active(UNIT)
    assert "infinity" not in server.property(UNIT, "TimeoutStopUSec")


@pytest.mark.long
def test_one_that_is_told_to_kill_gives_its_message_back(deployment: Deployment) -> None:
    server = deployment.servers["worker2"]
    (long,) = deployment.send_effects("killed", 1, SECONDS, "reports")
    wait_for("it runs", lambda: deployment.ledger([long]))
    run = deployment.play(
        "drain.yml", "--limit", server.name, stalk_pools=["reports"], stalk_seconds=1, stalk_kill=True
    )
    assert run.rc == 0, run.output
    assert server.is_active("shop-worker@default.service")
    assert not server.is_active(UNIT)
    assert deployment.converge().changed > 0
    assert once(deployment.all_effects([long], SECONDS + SECONDS_UNTIL_A_LOST_MESSAGE_IS_BACK))
    assert deployment.ledger([long])[long].starts == 2


def test_a_pool_that_is_not_described_is_refused(deployment: Deployment) -> None:
    run = deployment.play("drain.yml", stalk_pools=["misspelt"])
    assert run.rc != 0, run.output
    assert run.message.startswith("stalk_pools: the description has no pool misspelt; choose from ")
    assert all(server.is_active("shop-worker@default.service") for server in deployment.on("worker"))
