"""Failures are reported where a secret names a Sentry."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from celery_ops.correlation import correlated
from tests.celery_ops.sentry_receiver import SentryReceiver
from tests.celery_ops.tasks import effect, fails_at_closed_gate, fails_at_closed_gate_in_outbox, wait_at_gate
from tests.conftest import worker_arguments
from tests.gate import Gate
from tests.outbox import until_ended
from tests.processes import APP_FOLDER, Process
from tests.services import Services
from tests.waiting import until

SECRET = "customer's own"
FAILING_REQUEST = """
import django; django.setup()
from django.test import Client
from django.urls import path
import config.urls
def fail(request): raise ValueError("in a request")
config.urls.urlpatterns.append(path("fail", fail))
Client(raise_request_exception=False).get("/fail", secure=True, headers={"X-Request-ID": "c-2"})
import sentry_sdk; sentry_sdk.flush(20)
"""


@pytest.fixture
def sentry() -> Iterator[SentryReceiver]:
    receiver = SentryReceiver()
    yield receiver
    receiver.close()


def one_event(sentry: SentryReceiver, text: str) -> dict[str, Any]:
    until(lambda: sentry.of_task(text), why=f"Sentry hears of {text}; it has {sentry.events}")
    (event,) = sentry.of_task(text)
    return event


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("empty_broker", "forgotten_outage")
@pytest.mark.parametrize("pool", ["prefork", "gevent"])
def test_failures_of_tasks_are_reported_with_both_ids(
    gate: Gate, sentry: SentryReceiver, start_celery: Callable[..., Process], pool: str
) -> None:
    worker = start_celery("worker", *worker_arguments(pool=pool), SENTRY_DSN=sentry.dsn)
    worker.until_consuming()
    with correlated("c-1"):
        plain = fails_at_closed_gate.delay(str(gate.path), SECRET).id
        by_outbox = fails_at_closed_gate_in_outbox.delay_on_commit(str(gate.path), "outbox")
        limited = wait_at_gate.apply_async((str(gate.path),), time_limit=1).id
    for task_id, task in (plain, fails_at_closed_gate), (by_outbox, fails_at_closed_gate_in_outbox):
        event = one_event(sentry, task_id)
        assert event["exception"]["values"][-1]["type"] == "NotYet"
        assert event["transaction"] == task.name
        assert event["tags"]["celery_task_id"] == task_id
        assert event["tags"]["correlation_id"] == "c-1"
        assert SECRET not in str(event.get("extra"))
        frames = [frame for value in event["exception"]["values"] for frame in value["stacktrace"]["frames"]]
        assert not any("vars" in frame for frame in frames)
    if pool == "prefork":
        # By the main process, a line of its log each: that the limit struck, and that the task ended.
        until(lambda: len(sentry.of_task(limited)) == 2)
        assert {event["tags"]["correlation_id"] for event in sentry.of_task(limited)} == {"c-1"}
    until_ended(effect.delay_on_commit(str(gate.open())))


def run(services: Services, code: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=APP_FOLDER,
        env=services.environment | variables,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_failure_of_a_request_is_reported_with_its_id(services: Services, sentry: SentryReceiver) -> None:
    run(services, FAILING_REQUEST, SENTRY_DSN=sentry.dsn)
    assert one_event(sentry, "in a request")["tags"]["correlation_id"] == "c-2"


@pytest.mark.parametrize(
    ("code", "dsn", "refusal"),
    [
        (
            "import sys; sys.modules['sentry_sdk'] = None; import config",
            "https://key@sentry.example.org/1",
            "SENTRY_DSN: needs the package sentry-sdk; add it to requirements.txt, or take the secret away",
        ),
        ("import config", "sesame", "SENTRY_DSN: not an address of Sentry; set it to https://key@host/project"),
    ],
)
def test_what_cannot_report_is_refused(services: Services, code: str, dsn: str, refusal: str) -> None:
    done = run(services, code, SENTRY_DSN=dsn)
    assert done.stderr.splitlines()[-1].endswith(refusal)
    assert dsn not in done.stderr
