"""The leases of runs are renewed, whatever happens."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import InterfaceError

from celery_ops import leases
from celery_ops.leases import Keeper
from tests.waiting import until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("empty_broker", "forgotten_outage")]


@pytest.fixture
def keeper(monkeypatch: pytest.MonkeyPatch) -> Iterator[Keeper]:
    monkeypatch.setattr(leases, "LEASE_SECONDS", 0.1)
    keeper = Keeper()
    yield keeper
    keeper.drop("run")


@pytest.mark.parametrize("error", [InterfaceError("connection already closed"), ValueError("anything")])
def test_no_error_ends_the_renewals(keeper: Keeper, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    renewals: list[list[str]] = []

    def renew(holders: list[str]) -> None:
        renewals.append(holders)
        raise error

    monkeypatch.setattr(keeper, "_renew", renew)
    keeper.hold("run")
    until(lambda: len(renewals) > 2)


def test_a_keeper_whose_thread_could_not_start_tries_again(keeper: Keeper, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", fail)
        with pytest.raises(RuntimeError, match="new thread"):
            keeper.hold("run")
    renewed = threading.Event()
    monkeypatch.setattr(keeper, "_renew", lambda _: renewed.set())
    keeper.hold("run")
    assert renewed.wait(10)
