"""One id from the request to the last task that comes of it."""

from __future__ import annotations

import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from celery import chord, group
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory

from celery_ops import correlation, sweep
from celery_ops.correlation import HEADER, CorrelationMiddleware, correlated
from celery_ops.followers import canvas_on_commit
from celery_ops.models import FailedTask
from tests.brokers import ON_BOTH_BROKERS
from tests.celery_ops.tasks import (
    fails_at_closed_gate,
    is_killed_once,
    tells,
    tells_in_outbox,
    wait_at_gate,
)
from tests.gate import Gate
from tests.outbox import row
from tests.ports import free_port
from tests.processes import Process
from tests.services import Broker, Services
from tests.waiting import until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("empty_broker", "forgotten_outage")]

GIVEN = "4bf92f35-77b3"


def in_request(publish: Callable[[], object], given: str = GIVEN) -> str:
    """What is published while a request is answered; returns the id that the answer has."""

    def answer(request: HttpRequest) -> HttpResponse:
        publish()
        return HttpResponse()

    request = RequestFactory().get("/", headers={"X-Request-ID": given})
    return CorrelationMiddleware(answer)(request).headers["X-Request-ID"]


def test_a_request_keeps_a_well_formed_id_and_gets_another_for_any_other() -> None:
    client = Client(headers={"X-Forwarded-Proto": "https"})
    assert client.get("/healthz", headers={"X-Request-ID": GIVEN}).headers["X-Request-ID"] == GIVEN
    for given in ("", "a b", "a\tb", 'a"', "x" * 129):
        made = client.get("/healthz", headers={"X-Request-ID": given}).headers["X-Request-ID"]
        assert UUID(made)
    assert correlation.current.get() == ""


@ON_BOTH_BROKERS
def test_all_that_comes_of_a_request_has_its_id(broker: Broker, gate: Gate, worker: Process) -> None:
    path = str(gate.path)

    def tell(text: str, retries: int = 0) -> Any:
        return tells.s(path=path, text=text, retries=retries)

    def tell_by_outbox(text: str, retries: int = 0) -> Any:
        return tells_in_outbox.s(path=path, text=text, retries=retries)

    def publish() -> None:
        tells.delay(path=path, text="plain", retries=1)
        tells.delay_on_commit(path=path, text="on-commit")
        tells_in_outbox.delay_on_commit(path=path, text="outbox", retries=1)
        (tell("first") | group(tell("left"), tell("right")) | tell("body")).delay()
        chord([tell("a"), tell("b")])(tell("chord"))
        canvas_on_commit(tell_by_outbox("link") | tell_by_outbox("follower") | tell("last"))

    assert in_request(publish) == GIVEN
    told = ["plain", "plain", "on-commit", "outbox", "outbox", "first", "left", "right", "body", "a", "b", "chord"]
    told += ["link", "follower", "last"]
    until(lambda: len(gate.effects) == len(told), why=f"all told; {gate.effects}")
    assert sorted(gate.effects) == sorted(f"{text} {GIVEN}" for text in told)
    lines = [line for line in worker.log.splitlines() if "told by" in line or " received" in line]
    assert len(lines) == 2 * len(told)
    assert [line for line in lines if f"] {GIVEN}: " not in line] == []


def test_what_the_sweep_sends_has_the_id_of_the_request(services: Services, gate: Gate, worker: Process) -> None:
    published: list[str] = []
    with services.redis.away():
        in_request(lambda: published.append(tells_in_outbox.delay_on_commit(path=str(gate.path), text="late")))
    assert row(published[0]).options["headers"] == {HEADER: GIVEN}
    sweep.sweep()
    until(lambda: gate.effects)
    assert gate.effects == [f"late {GIVEN}"]


def test_without_a_request_the_first_task_gives_the_id(gate: Gate, worker: Process) -> None:
    path = str(gate.path)
    result = (tells.s(path=path, text="first") | tells.s(path=path, text="second")).delay()
    until(lambda: len(gate.effects) == 2)
    assert gate.effects == [f"first {result.parent.id}", f"second {result.parent.id}"]


def test_a_killed_process_and_a_time_limit_keep_the_id(gate: Gate, worker: Process) -> None:
    path = str(gate.path)

    def publish() -> None:
        is_killed_once.delay(path)
        wait_at_gate.apply_async((path,), time_limit=1)
        fails_at_closed_gate.delay(path, "fails")

    in_request(publish)
    until(lambda: len(gate.effects) == 2 and FailedTask.objects.count() == 2)
    assert gate.effects == [f"run 0 {GIVEN}", f"run 1 {GIVEN}"]
    assert {failed.correlation_id for failed in FailedTask.objects.all()} == {GIVEN}
    assert f"{GIVEN}: Hard time limit" in worker.log


def test_eager_tasks_keep_the_id_of_their_caller(gate: Gate) -> None:
    with correlated(GIVEN):
        tells.apply(kwargs={"path": str(gate.path), "text": "eager"})
        assert correlation.current.get() == GIVEN
    assert gate.effects == [f"eager {GIVEN}"]


def test_flower_shows_the_id(
    gate: Gate, start_celery: Callable[..., Process], start_worker: Callable[..., Process], tmp_path: Path
) -> None:
    port = free_port()
    flower = start_celery("flower", "flower", "--address=127.0.0.1", f"--port={port}")
    until(lambda: "Connected to" in flower.log, seconds=60, why=f"Flower runs: {flower.log}")
    start_worker(arguments=("--task-events",))
    published: list[str] = []
    in_request(lambda: published.append(tells.delay(path=str(gate.path), text="shown").id))

    def page() -> str:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/task/{published[0]}", timeout=5) as answer:
                return str(answer.read().decode())
        except OSError:
            return ""

    until(lambda: GIVEN in page(), why=f"Flower shows the id; {page()[:3000]} {flower.log}")
    assert "Correlation id" in page()
