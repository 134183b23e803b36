"""What Celery does for tasks with every broker, on servers and on Kubernetes alike."""

from __future__ import annotations

import json
from typing import Any

from resources.effects import Effects

MOST_WORKERS = 3
"""Of the pool `default` in any deployment: of one task more, two meet in one worker."""

PREAMBLE = f"""
import json, time
from celery import chord
from config.celery import app
from shop.tasks import noop, sleep

TIMEOUT = 90

def seconds_of(count):
    began = time.monotonic()
    for result in [noop.delay() for _ in range(count)]:
        result.get(timeout=TIMEOUT)
    return time.monotonic() - began

def until(answer):
    deadline = time.monotonic() + TIMEOUT
    while not answer():
        assert time.monotonic() < deadline
    return True

ONE_MORE_THAN_WORKERS = {MOST_WORKERS + 1}
"""


def said(stack: Effects, code: str) -> Any:
    """What the last line of this code prints, run as the web process would."""
    return json.loads(stack.django(PREAMBLE + code).splitlines()[-1])


class TaskBehaviour:
    """A file of tests takes it in as `class TestTasks(TaskBehaviour)`, and gives the fixture `stack`."""

    def test_the_result_of_a_task_comes_back(self, stack: Effects) -> None:
        code = "result = sleep.delay(0)\nresult.get(timeout=TIMEOUT)\nprint(json.dumps(result.state))"
        assert said(stack, code) == "SUCCESS"

    def test_a_task_that_fails_says_why(self, stack: Effects) -> None:
        code = "error = sleep.delay(-1).get(timeout=TIMEOUT, propagate=False)\nprint(json.dumps(repr(error)))"
        assert said(stack, code) == "ValueError('sleep length must be non-negative')"

    def test_a_task_that_is_sent_for_later_does_not_run_before(self, stack: Effects) -> None:
        code = """
began = time.time()
noop.apply_async(countdown=3).get(timeout=TIMEOUT)
print(json.dumps(time.time() - began))
"""
        assert said(stack, code) >= 3

    def test_a_chord_ends_after_all_of_its_tasks(self, stack: Effects) -> None:
        code = """
body = chord([sleep.si(0.2), noop.si(), noop.si().set(queue="high_priority")])(noop.si())
body.get(timeout=TIMEOUT)
print(json.dumps([each.state for each in (*body.parent.results, body)]))
"""
        assert said(stack, code) == ["SUCCESS"] * 4

    def test_a_task_with_a_priority_runs(self, stack: Effects) -> None:
        code = "result = noop.apply_async(priority=9)\nresult.get(timeout=TIMEOUT)\nprint(json.dumps(result.state))"
        assert said(stack, code) == "SUCCESS"

    def test_a_revoked_task_does_not_run(self, stack: Effects) -> None:
        code = """
result = noop.apply_async(countdown=5)
result.revoke()
result.get(timeout=TIMEOUT, propagate=False)
print(json.dumps(result.state))
"""
        assert said(stack, code) == "REVOKED"

    def test_a_rate_limit_holds_until_it_is_lifted(self, stack: Effects) -> None:
        code = """
app.control.rate_limit(noop.name, "12/m")
try:
    held = until(lambda: seconds_of(ONE_MORE_THAN_WORKERS) >= 5)
finally:
    app.control.rate_limit(noop.name, "0")
print(json.dumps([held, until(lambda: seconds_of(ONE_MORE_THAN_WORKERS) < 5)]))
"""
        assert said(stack, code) == [True, True]
