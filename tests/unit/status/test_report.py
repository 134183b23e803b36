"""The report of two hosts that work, and of each way in which they may not."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.stalk.celery.plugins.module_utils.status.questions import expected_on
from ansible_collections.stalk.celery.plugins.module_utils.status.report import Report

NOW = 1_800_000_000.0
DAY = 86400
GROUPS = {name: ["app1"] for name in ("web", "beat", "flower", "redis", "postgresql")} | {"worker": ["app1", "work1"]}
STACK: dict[str, Any] = {
    "app": {"name": "shop", "default_queue": "celery", "routes": {}, "queues": []},
    "database": {"kind": "embedded"},
    "broker": {"component": "redis", "topology": "single", "port": 6379},
    "tls": {"rotate_before": "30d"},
    "pools": {
        "default": {"queues": ["celery"], "heartbeat_max_age": 120, "servers": {"hosts": ""}},
        "high": {"queues": ["high_priority"], "heartbeat_max_age": 120, "servers": {"hosts": "work1"}},
    },
    "web": {"enabled": True, "servers": {"https_port": 443}},
    "beat": {"enabled": True, "heartbeat_max_age": 120},
    "flower": {"enabled": True, "port": 5555},
}
Answers = dict[str, dict[str, Any]]


def running(since: float = 7500.0) -> dict[str, Any]:
    moment = NOW - since
    return {
        "loaded": True,
        "active": "active",
        "result": "success",
        "restarts": 0,
        "started": moment,
        "settled": moment,
    }


def worker_beat() -> dict[str, Any]:
    return {"time": NOW - 3, "concurrency": 4, "active": 2, "reserved": 1, "consuming": True}


def answer(*units: str, **more: Any) -> dict[str, Any]:
    return {
        "now": NOW,
        "units": {unit: running() for unit in units},
        "heartbeats": {},
        "pages": {},
        "certificates": {"ca": NOW + 3000 * DAY},
        "disks": {"/": 0.4},
        **more,
    }


@pytest.fixture
def answers() -> Answers:
    return {
        "app1": answer(
            "shop-redis.service",
            "postgresql@15-main.service",
            "shop-web.service",
            "shop-web.socket",
            "nginx.service",
            "shop-worker@default.service",
            "shop-beat.service",
            "shop-flower.service",
            heartbeats={
                "shop-worker@default.service": worker_beat(),
                "shop-beat.service": {"time": NOW - 2, "active": True, "lease_expires": NOW + 23, "holder": "app1"},
            },
            pages={"web": {"status": 200, "body": '{"unreachable": []}'}, "flower": {"status": 200, "body": "OK"}},
            broker={
                "memory": 12 * 1024**2,
                "limit": 512 * 1024**2,
                "taken": 3,
                "queues": {"celery": 7, "high_priority": 0},
                "saved": True,
            },
            database={"accepts": True, "said": ""},
            certificates={"web": NOW + 363.5 * DAY, "ca": NOW + 3000 * DAY},
        ),
        "work1": answer(
            "shop-worker@default.service",
            "shop-worker@high.service",
            heartbeats={"shop-worker@default.service": worker_beat(), "shop-worker@high.service": worker_beat()},
        ),
    }


def report_of(answers: Answers, unreachable: dict[str, str] | None = None, stack: dict[str, Any] = STACK) -> Report:
    hosts = ["app1", "work1"]
    return Report("shop", stack, [expected_on(host, stack, GROUPS) for host in hosts], answers, unreachable or {})


def problems_of(answers: Answers, unreachable: dict[str, str] | None = None) -> list[str]:
    report = report_of(answers, unreachable)
    report.lines()
    return report.problems


def test_a_stack_that_works_is_one_table(answers: Answers) -> None:
    report = report_of(answers)
    assert report.lines() == [
        "shop on 2 hosts, 2027-01-15 08:00:00 UTC",
        "",
        "POOL      HOST   STATE    SINCE  SLOTS  ACTIVE  RESERVED  QUEUED  HEARTBEAT",
        "default   app1   running  2h05m      4       2         1       7         3s",
        "default   work1  running  2h05m      4       2         1       7         3s",
        "high      work1  running  2h05m      4       2         1       0         3s",
        "beat      app1   active   2h05m  holds the lease for 25s more, heartbeat 2s ago",
        "broker    app1   running  2h05m  memory 12.0M of 512M (2%), 3 taken and unfinished",
        "database  app1   running  2h05m  accepts connections",
        "web       app1   running  2h05m  ready",
        "flower    app1   running  2h05m  answers",
        "",
        "certificates: 363d web (app1), 3000d ca (app1, work1)",
        "",
        "All is well.",
    ]
    assert report.problems == []


def unit(host: str, name: str, **changes: Any) -> Callable[[Answers], None]:
    return lambda answers: answers[host]["units"][name].update(changes)


def heartbeat(host: str, name: str, **changes: Any) -> Callable[[Answers], None]:
    return lambda answers: answers[host]["heartbeats"][name].update(changes)


def broker(**changes: Any) -> Callable[[Answers], None]:
    return lambda answers: answers["app1"]["broker"].update(changes)


def put(host: str, part: str, name: str, value: Any) -> Callable[[Answers], None]:
    return lambda answers: answers[host][part].update({name: value})


WORKER = "shop-worker@high.service"
DEFAULT = "shop-worker@default.service"
BEAT = "shop-beat.service"

FAULTS: list[tuple[str, Callable[[Answers], None], list[str]]] = [
    (
        "stopped pool",
        unit("work1", DEFAULT, active="inactive"),
        ["pool default on work1: is stopped", "systemctl start"],
    ),
    ("failed pool", unit("work1", DEFAULT, active="failed", result="oom-kill"), ["failed (oom-kill)", "journalctl -u"]),
    ("crash loop", unit("work1", DEFAULT, active="activating", restarts=9), ["does not come up, 9 restarts"]),
    (
        "flapping",
        unit("work1", DEFAULT, restarts=5, started=NOW - 4),
        ["pool default on work1: was restarted 5 times"],
    ),
    (
        "not installed",
        lambda answers: answers["work1"]["units"].pop(DEFAULT),
        ["is not installed", "playbooks/site.yml"],
    ),
    ("unit file removed", unit("work1", DEFAULT, loaded=False), ["is not installed"]),
    (
        "stale",
        heartbeat("work1", DEFAULT, time=NOW - 300),
        ["its heartbeat is 5m old, more than 2m", "systemctl restart"],
    ),
    ("no heartbeat", put("work1", "heartbeats", DEFAULT, None), ["runs but shows no heartbeat"]),
    ("deaf", heartbeat("work1", DEFAULT, consuming=False), ["runs but takes no messages"]),
    ("no beat", heartbeat("app1", BEAT, active=False, holder=None), ["beat: nobody holds the lease"]),
    ("stale beat", heartbeat("app1", BEAT, time=NOW - 121), ["beat on app1: its heartbeat is 2m01s old"]),
    ("full broker", broker(memory=480 * 1024**2), ["94% of its memory", "broker.maxmemory"]),
    ("aof", broker(saved=False), ["append-only file"]),
    ("mute broker", put("app1", "broker", "error", "timed out"), ["broker on app1: does not answer (timed out)"]),
    ("forgotten queue", broker(queues={"old": 5}), ["queue old: 5 waiting and no pool consumes it"]),
    ("database", put("app1", "database", "accepts", False), ["database on app1: accepts no connections"]),
    ("nginx", unit("app1", "nginx.service", active="failed"), ["nginx on app1: failed"]),
    (
        "not ready",
        put("app1", "pages", "web", {"status": 503, "body": '{"status": "unready", "unreachable": ["database"]}'}),
        ["web on app1: is not ready (unreachable: database)"],
    ),
    (
        "broker away from web",
        put("app1", "pages", "web", {"status": 200, "body": '{"status": "ok", "unreachable": ["broker"]}'}),
        ["web on app1: is ready, but misses something (unreachable: broker)"],
    ),
    ("web down", put("app1", "pages", "web", {"error": "timed out"}), ["web on app1: is not ready (timed out)"]),
    ("flower", put("app1", "pages", "flower", {"error": "timed out"}), ["flower on app1: does not answer"]),
    ("expiring", put("app1", "certificates", "web", NOW + 29 * DAY), ["certificate web on app1: expires on"]),
    ("expired", put("app1", "certificates", "web", NOW - 1), ["certificate web on app1: expired on", "site.yml"]),
    ("own certificate", put("app1", "certificates", "site", NOW + DAY), ["certificate of the site", "web.servers"]),
    ("disk", put("work1", "disks", "/var/lib", 0.97), ["disk on work1: /var/lib is 97% full"]),
    (
        "unit that nobody asked for",
        put("work1", "units", "shop-backup.service", {**running(), "active": "failed"}),
        ["shop-backup.service on work1: failed"],
    ),
    (
        "leftover pool",
        put("work1", "units", "shop-worker@old.service", running()),
        ["pool old on work1: runs and does not belong there"],
    ),
    *(
        (
            f"leftover {name}",
            put("work1", "units", f"shop-{name}.service", running()),
            [f"{name} on work1: runs and does not belong there; run playbooks/site.yml"],
        )
        for name in ("beat", "flower", "web")
    ),
]


@pytest.mark.parametrize(("fault", "words"), [fault[1:] for fault in FAULTS], ids=[fault[0] for fault in FAULTS])
def test_each_fault_is_one_problem_with_a_remedy(
    answers: Answers, fault: Callable[[Answers], None], words: list[str]
) -> None:
    fault(answers)
    problems = problems_of(answers)
    assert len(problems) == 1, problems
    for word in words:
        assert word in problems[0]


def test_messages_wait_while_their_only_pool_is_down(answers: Answers) -> None:
    answers["work1"]["units"][WORKER]["active"] = "failed"
    answers["app1"]["broker"]["queues"]["high_priority"] = 12
    problems = problems_of(answers)
    assert "queue high_priority: 12 waiting and nobody takes them; bring pool high up" in problems
    assert len(problems) == 2


def test_a_host_that_does_not_answer_is_the_only_problem(answers: Answers) -> None:
    del answers["work1"]
    answers["app1"]["broker"]["queues"]["high_priority"] = 12
    report = report_of(answers, {"work1": "timed out"})
    text = "\n".join(report.lines())
    assert report.problems == ["work1: does not answer (timed out); see whether it is up and Ansible may log in"]
    assert "high      work1  unknown" in text


@pytest.mark.parametrize("cause", ["stopped", "silent", "unreachable"])
def test_what_follows_from_the_broker_and_the_database_is_no_problem_of_its_own(answers: Answers, cause: str) -> None:
    """Both on one host of their own, so that the host may be unreachable."""
    groups = {**GROUPS, "redis": ["data1"], "postgresql": ["data1"]}
    app, work = answers["app1"], answers["work1"]
    data = answer(
        "shop-redis.service",
        "postgresql@15-main.service",
        broker={"error": "refused"},
        database={"accepts": False, "said": "no response"},
    )
    if cause == "stopped":
        for unit in data["units"].values():
            unit["active"] = "inactive"
    app["heartbeats"][DEFAULT]["consuming"] = work["heartbeats"][WORKER]["consuming"] = False
    app["heartbeats"][BEAT]["active"] = False
    status, misses, word = (
        (200, '{"unreachable": ["broker"]}', "is ready, but misses something")
        if cause == "silent"
        else (503, '{"unreachable": ["database", "broker"]}', "is not ready")
    )
    app["pages"]["web"] = {"status": status, "body": misses}
    hosts = ("app1", "work1", "data1")
    known = {"app1": app, "work1": work} | ({} if cause == "unreachable" else {"data1": data})
    unreachable = {"data1": "timed out"} if cause == "unreachable" else {}
    report = Report("shop", STACK, [expected_on(host, STACK, groups) for host in hosts], known, unreachable)
    text = "\n".join(report.lines())
    assert [problem.partition(":")[0] for problem in report.problems] == (
        ["data1"] if cause == "unreachable" else ["broker on data1", "database on data1"]
    )
    assert "high      work1  waiting" in text
    assert f"web       app1   running  2h05m  {word}" in text


def test_the_row_of_web_tells_of_nginx(answers: Answers) -> None:
    answers["app1"]["units"]["nginx.service"]["active"] = "inactive"
    assert "web       app1   running  2h05m  nginx is stopped" in report_of(answers).lines()


def test_nobody_answers(answers: Answers) -> None:
    report = report_of({}, {"app1": "timed out", "work1": "timed out"})
    assert report.lines()[-1].endswith("Ansible may log in")
    assert len(report.problems) == 2


def test_a_unit_that_just_started_is_given_time(answers: Answers) -> None:
    answers["work1"]["units"][WORKER].update(running(since=4))
    answers["work1"]["heartbeats"][WORKER] = None
    answers["work1"]["units"][DEFAULT].update(running(since=4))
    answers["work1"]["heartbeats"][DEFAULT]["consuming"] = False
    answers["app1"]["units"][BEAT].update(running(since=4))
    answers["app1"]["heartbeats"][BEAT]["active"] = False
    assert problems_of(answers) == []


def test_two_active_beats_are_a_problem_and_one_that_stands_by_is_none(answers: Answers) -> None:
    groups = {**GROUPS, "beat": ["app1", "work1"]}
    answers["work1"]["units"][BEAT] = running()
    beat = {"time": NOW - 1, "active": False, "lease_expires": None, "holder": "app1"}
    answers["work1"]["heartbeats"][BEAT] = beat
    expected = [expected_on(host, STACK, groups) for host in ("app1", "work1")]
    report = Report("shop", STACK, expected, answers, {})
    assert any("standby" in line and "stands by for app1" in line for line in report.lines())
    assert report.problems == []

    beat["active"] = True
    report = Report("shop", STACK, expected, answers, {})
    report.lines()
    assert len(report.problems) == 1
    assert "app1 and work1 are both active" in report.problems[0]


def test_an_entry_of_a_certificate_stays_on_one_line_and_counts_many_hosts(answers: Answers) -> None:
    names = ("web", "redis", "status", "postgresql", "worker", "beat", "flower")
    answers["app1"]["certificates"] = {name: NOW + (300 + days) * DAY for days, name in enumerate(names)}
    for number in range(3):
        answers[f"more{number}"] = answer(certificates={"worker": NOW + 304 * DAY})
    lines = report_of(answers).lines()
    start = next(number for number, line in enumerate(lines) if line.startswith("certificates"))
    assert lines[start : start + 3] == [
        "certificates: 300d web (app1), 301d redis (app1), 302d status (app1), 303d postgresql (app1),",
        "              304d worker (4 hosts), 305d beat (app1), 306d flower (app1), 3000d ca (work1)",
        "",
    ]


def test_no_line_is_wider_than_the_terminal(answers: Answers) -> None:
    host = "worker-with-a-long-name.eu-central-1.production.internal.example.org"
    answers[host] = answers.pop("work1")
    answers[host]["disks"] = {"/": 0.99}
    groups = {**GROUPS, "worker": ["app1", host]}
    stack = copy.deepcopy(STACK)
    stack["pools"]["high"]["servers"]["hosts"] = host
    expected = [expected_on(name, stack, groups) for name in ("app1", host)]
    lines = Report("shop", stack, expected, answers, {}).lines()
    assert max(len(line) for line in lines) <= 100


def rabbitmq(answers: Answers, **changes: Any) -> Report:
    stack = {
        **STACK,
        "broker": {
            "component": "rabbitmq",
            "topology": "single",
            "port": 5671,
            "management_port": 15671,
            "delivery_limit": 9,
        },
    }
    groups = {**GROUPS, "rabbitmq": ["app1"]}
    units = answers["app1"]["units"]
    units["shop-rabbitmq.service"] = units.pop("shop-redis.service")
    answers["app1"]["broker"].update({"delayed": 0, "dead": {}, **changes})
    expected = [expected_on(host, stack, groups) for host in ("app1", "work1")]
    return Report("shop", stack, expected, answers, {})


def test_rabbitmq_has_the_row_of_the_broker(answers: Answers) -> None:
    report = rabbitmq(answers, delayed=2)
    row = "broker    app1   running  2h05m  memory 12.0M of 512M (2%), 3 taken and unfinished, 2 delayed"
    assert row in report.lines()
    assert report.problems == []


def test_dead_letters_are_a_problem_of_their_pool(answers: Answers) -> None:
    report = rabbitmq(answers, dead={"high": 1})
    report.lines()
    (problem,) = report.problems
    assert problem.startswith(
        "broker on app1: 1 dead letter of pool high in the queue @dead.high, given out too often "
    )


def test_a_disk_that_is_short_is_a_problem(answers: Answers) -> None:
    report = rabbitmq(answers, saved=False)
    report.lines()
    (problem,) = report.problems
    assert "less free disk than broker.disk_free_limit" in problem


def test_rabbitmq_that_does_not_answer_is_the_only_problem(answers: Answers) -> None:
    report = rabbitmq(answers)
    answers["app1"]["broker"] = {"error": "refused"}
    report.lines()
    (problem,) = report.problems
    assert problem == "broker on app1: does not answer (refused); journalctl -u shop-rabbitmq says why"


# --- behind Sentinel ----------------------------------------------------------------------------------------

NODES = ("data1", "data2", "data3")


def node(role: str, **more: Any) -> dict[str, Any]:
    told = {"memory": 1024**2, "limit": 512 * 1024**2, "taken": 0, "queues": {"celery": 7}, "saved": True, "role": role}
    told |= {"follows": True, "replicas": 2 if role == "primary" else 0, **more}
    return answer("shop-redis.service", "shop-sentinel.service", broker=told)


def report_of_nodes(answers: Answers, **nodes: dict[str, Any]) -> Report:
    stack = {**STACK, "broker": {**STACK["broker"], "topology": "sentinel"}}
    groups = {**GROUPS, "redis": NODES}
    apps = copy.deepcopy(answers)
    apps["app1"].pop("broker")
    shown = {"data1": node("replica"), "data2": node("primary"), "data3": node("replica"), **nodes}
    expected = [expected_on(host, stack, groups) for host in ("app1", "work1", *NODES)]
    return Report("shop", stack, expected, {**apps, **shown}, {})


def test_nodes_are_shown_with_their_roles(answers: Answers) -> None:
    report = report_of_nodes(answers)
    text = "\n".join(report.lines())
    assert "primary, 2 replicas, memory 1.0M of 512M" in text
    assert text.count("replica, memory") == 2
    assert report.problems == []


def test_a_replica_that_does_not_follow_and_a_missing_sentinel_are_problems(answers: Answers) -> None:
    stopped = node("replica")
    stopped["units"]["shop-sentinel.service"]["active"] = "inactive"
    report = report_of_nodes(
        answers, data1=stopped, data2=node("primary", replicas=1), data3=node("replica", follows=False)
    )
    report.lines()
    assert [problem.partition(";")[0] for problem in report.problems] == [
        "sentinel on data1: is stopped",
        "broker on data2: 1 of 2 replicas follow",
        "broker on data3: does not follow the primary",
    ]


def test_the_broker_is_down_when_no_node_is_the_primary(answers: Answers) -> None:
    lost = report_of_nodes(answers, data3=answer(broker={"error": "refused"}))
    lost.lines()
    assert lost.down == set()
    gone = report_of_nodes(answers, data2=node("replica", follows=False))
    gone.lines()
    assert gone.down == {"redis"}
