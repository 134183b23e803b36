"""For `pytest -p suite_plugin`: lets Celery talk to the brokers by celery_ops' transports, as an app of Stalk's does,
gives the suite's own client of Redis the address, the user and TLS, and notes each outcome as soon as it is there,
since a run that is ended for time writes no report.

CONFORMANCE_REDIS is the URL for that client, CONFORMANCE_OUTCOMES the file with a line of JSON for each test that began
or ended.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import redis
import t.integration.tasks
from celery_ops import rabbitmq_transport, redis_transport

OUTCOMES = Path(os.environ["CONFORMANCE_OUTCOMES"])


def get_redis_connection() -> redis.Redis:
    return redis.Redis.from_url(os.environ["CONFORMANCE_REDIS"], socket_timeout=None)


# The suite's knows a host and a port alone. Its modules take it from there by name, and are not imported yet.
t.integration.tasks.get_redis_connection = get_redis_connection


rabbitmq_transport.install()
redis_transport.install()


def note(test: str, outcome: str, reason: str = "") -> None:
    with OUTCOMES.open("a") as lines:
        lines.write(json.dumps({"test": test, "outcome": outcome, "reason": reason}) + "\n")


def pytest_runtest_logstart(nodeid: str) -> None:
    note(nodeid, "began")


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.outcome in ("passed", "rerun") and report.when != "call":
        return
    outcome = "xfailed" if report.skipped and hasattr(report, "wasxfail") else report.outcome
    note(report.nodeid, outcome, reason_of(report))


def reason_of(report: pytest.TestReport) -> str:
    """The line that says most of why a test did not pass."""
    if report.passed:
        return ""
    if isinstance(report.longrepr, tuple):
        return report.longrepr[2]
    crash = getattr(report.longrepr, "reprcrash", None)
    text = crash.message if crash else report.longreprtext
    return text.strip().splitlines()[0][:300] if text.strip() else ""
