"""What follows from a description."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.stalk.celery.plugins.module_utils.description.chart import chart_defaults
from ansible_collections.stalk.celery.plugins.module_utils.description.derive import derive, worker_arguments
from ansible_collections.stalk.celery.plugins.module_utils.description.describe import describe
from ansible_collections.stalk.celery.plugins.module_utils.description.merge import coalesce
from ansible_collections.stalk.celery.plugins.module_utils.description.surroundings import Surroundings
from ansible_collections.stalk.celery.plugins.module_utils.project_source import digest
from bad_descriptions import ROOT, inventory_groups

COMMON = ["--loglevel=WARNING", "--prefetch-multiplier=1", "--disable-prefetch"]


def stack(**values: Any) -> dict[str, Any]:
    return derive(coalesce(values, chart_defaults()))


def arguments(**pool: Any) -> list[str]:
    return list(stack(pools={"default": {"queues": ["a", "b"], **pool}})["pools"]["default"]["arguments"])


def test_prefork_enforces_every_limit() -> None:
    assert arguments(concurrency=4, max_memory_per_child=200000) == [
        "--pool=prefork",
        "--concurrency=4",
        "--queues=a,b",
        *COMMON,
        "--time-limit=1800",
        "--soft-time-limit=1500",
        "--max-tasks-per-child=1000",
        "--max-memory-per-child=200000",
        "--without-gossip",
    ]


def test_a_null_limit_is_no_argument() -> None:
    assert not [each for each in arguments(max_tasks_per_child=None) if "per-child" in each]


def test_gevent_enforces_the_hard_limit_only() -> None:
    assert arguments(pool="gevent", concurrency=100) == [
        "--pool=gevent",
        "--concurrency=100",
        "--queues=a,b",
        *COMMON,
        "--time-limit=1800",
        "--without-gossip",
    ]


@pytest.mark.parametrize(("kind", "concurrency"), [("threads", 2), ("solo", 1)])
def test_threads_and_solo_enforce_no_limit(kind: str, concurrency: int) -> None:
    assert arguments(pool=kind) == [
        f"--pool={kind}",
        f"--concurrency={concurrency}",
        "--queues=a,b",
        *COMMON,
        "--without-gossip",
    ]


def test_events_are_sent_when_asked_for() -> None:
    assert "--task-events" in arguments(task_events=True)
    assert "--task-events" not in arguments()


def test_concurrency_by_the_cpus() -> None:
    assert "--concurrency=auto" in arguments(concurrency="auto")


def test_no_argument_needs_quoting() -> None:
    pool = coalesce({"queues": ["a.b:c-d_e"]}, chart_defaults()["pool_defaults"])
    assert all(re.fullmatch(r"[A-Za-z0-9=,.:_-]+", each) for each in worker_arguments(pool, "redis"))


def test_a_pool_lies_over_pool_defaults() -> None:
    described = stack(
        pool_defaults={"time_limit": 600, "env": {"A": 1, "B": True}},
        pools={"default": {"env": {"A": None, "C": "c"}}, "mail": {"queues": ["mail"], "time_limit": 60}},
    )
    default, mail = described["pools"]["default"], described["pools"]["mail"]
    assert (default["name"], default["time_limit"], default["grace"]) == ("default", 600, 630)
    assert (mail["name"], mail["time_limit"], mail["grace"]) == ("mail", 60, 90)
    assert default["env"] == {"B": "true", "C": "c"}
    assert mail["env"] == {"A": "1", "B": "true"}


def test_a_stated_grace_stays() -> None:
    assert stack(pools={"default": {"grace": 9000}})["pools"]["default"]["grace"] == 9000


def test_visibility_timeout_covers_the_longest_task_eta_and_stop() -> None:
    pools = {
        "a": {"queues": ["a"], "time_limit": 100, "grace": 5000},
        "b": {"queues": ["b"], "time_limit": 3000},
    }
    described = stack(app={"longest_eta": 60}, pools=pools)
    assert described["broker"]["visibility_timeout"] == 3000 + 60 + 5000
    assert described["environment"]["CELERY_VISIBILITY_TIMEOUT"] == "8060"


def test_a_stated_visibility_timeout_stays() -> None:
    assert stack(broker={"visibility_timeout": 99999})["broker"]["visibility_timeout"] == 99999


def test_rabbitmq_is_one_word() -> None:
    pools = {
        "default": {"queues": ["celery", "b"], "time_limit": 100},
        "also": {"queues": ["b"], "time_limit": 3000, "grace": 5000},
    }
    described = stack(app={"longest_eta": 60, "queues": ["b"]}, broker={"kind": "rabbitmq"}, pools=pools)
    broker = described["broker"]
    assert (broker["port"], broker["consumer_timeout"]) == (5671, 3000 + 5000)
    assert (broker["maxmemory_bytes"], broker["disk_free_limit_bytes"]) == (512 * 1024**2, 1024**3)
    assert broker["queues"] == {"also": ["b"], "default": ["celery"]}
    assert described["results"]["kind"] == "database"
    assert "--disable-prefetch" not in described["pools"]["default"]["arguments"]


def test_redis_keeps_results_and_its_own_port() -> None:
    described = stack()
    assert (described["broker"]["port"], described["results"]["kind"]) == (6379, "redis")
    assert stack(results={"kind": "none"})["results"]["kind"] == "none"
    assert stack(broker={"kind": "rabbitmq", "port": 7000})["broker"]["port"] == 7000


def test_valkey_is_redis_by_another_name() -> None:
    pools = {"default": {"queues": ["celery"]}}
    redis, valkey = (stack(broker={"kind": kind}, pools=pools) for kind in ("redis", "valkey"))
    assert valkey["broker"] == {**redis["broker"], "kind": "valkey"}
    assert (valkey["broker"]["component"], valkey["broker"]["port"]) == ("redis", 6379)
    assert valkey["results"]["kind"] == "redis"
    assert valkey["pools"] == redis["pools"]


def test_environment_is_text_alone() -> None:
    described = stack(
        app={
            "name": "books",
            "routes": {"shop.tasks.pay": "celery"},
            "env": {"DEBUG": False, "SIZE": 3, "RATIO": 0.5, "EMPTY": ""},
        },
        web={"host": "books.example.org"},
    )
    assert described["environment"] == {
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "DJANGO_ALLOWED_HOSTS": "books.example.org",
        "CELERY_KEY_PREFIX": "books:",
        "CELERY_VISIBILITY_TIMEOUT": "3630",
        "CELERY_RESULT_EXPIRES": "86400",
        "CELERY_TASK_DEFAULT_QUEUE": "celery",
        "CELERY_TASK_ROUTES": '{"shop.tasks.pay": "celery"}',
        "CELERY_BEAT_LEASE_TTL": "30",
        "DEBUG": "false",
        "SIZE": "3",
        "RATIO": "0.5",
        "EMPTY": "",
    }


def test_names_go_before_globs_and_a_longer_glob_before_a_shorter_one() -> None:
    ordered = ["a", "shop.tasks.pay", "shop.tasks.send_*", "shop.tasks.*", "*.send_mail", "*a", "*b", "b*", "*"]
    for written in (ordered, ordered[::-1], sorted(ordered)):
        environment = stack(app={"routes": dict.fromkeys(written, "celery")})["environment"]
        assert list(json.loads(environment["CELERY_TASK_ROUTES"])) == ordered


def described(folder: Path, text: str = "app: {}\n") -> dict[str, Any]:
    (folder / "stack.yml").write_text(text)
    return describe(["stack.yml"], folder, Surroundings(inventory_groups()))


def test_the_sample_app_is_the_default_source(tmp_path: Path) -> None:
    servers = described(tmp_path)["app"]["servers"]
    assert servers["source"] == str(ROOT / "sample_app")
    assert servers["version"] == digest(ROOT / "sample_app")[:12]


def test_paths_are_relative_to_the_file_that_names_them(tmp_path: Path) -> None:
    project = tmp_path / "project"
    (project / "stacks").mkdir(parents=True)
    (project / "manage.py").write_text("")
    (project / "requirements.txt").write_text("")
    (project / "stacks" / "a.yml").write_text("app: {servers: {source: ..}}\n")
    (tmp_path / "b.yml").write_text("app: {servers: {version: v1}}\n")
    found = describe(["project/stacks/a.yml", "b.yml"], tmp_path, Surroundings(inventory_groups()))
    assert found["app"]["servers"]["source"] == str(project)
    assert found["app"]["servers"]["version"] == "v1"


def test_the_fact_is_plain_data(tmp_path: Path) -> None:
    found = described(tmp_path)
    assert json.loads(json.dumps(found)) == found


def test_the_demo_is_accepted() -> None:
    groups = {name: ["stalk-demo"] for name in ("redis", "postgresql", "web", "worker", "beat", "flower", "all")}
    found = describe(["stack.yml"], ROOT, Surroundings(groups))
    assert set(yaml.safe_load((ROOT / "stack.yml").read_text())["pools"]) == set(found["pools"])
