from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.stalk.celery.plugins.module_utils.status.questions import expected_on, questions, queues_of

GROUPS = {
    "web": ["app1"],
    "beat": ["app1", "worker1"],
    "flower": ["app1"],
    "worker": ["worker1", "worker2"],
    "redis": ["data1"],
    "postgresql": ["data1"],
}


def stack(**changes: Any) -> dict[str, Any]:
    return {
        "app": {"name": "shop", "default_queue": "celery", "routes": {"a.b": "high"}, "queues": ["extra"]},
        "database": {"kind": "embedded"},
        "broker": {"component": "redis", "topology": "single", "port": 6379},
        "pools": {
            "default": {"queues": ["celery", "extra"], "servers": {"hosts": ""}},
            "high": {"queues": ["high"], "servers": {"hosts": "worker2"}},
        },
        "web": {"enabled": True, "servers": {"https_port": 8443}},
        "beat": {"enabled": True},
        "flower": {"enabled": True, "port": 5555},
        **changes,
    }


def test_a_pool_is_expected_where_the_role_worker_places_it() -> None:
    assert expected_on("worker1", stack(), GROUPS).pools == ("default",)
    assert expected_on("worker2", stack(), GROUPS).pools == ("default", "high")
    assert expected_on("app1", stack(), GROUPS).pools == ()


def test_a_pool_may_name_a_group() -> None:
    pools = {"default": {"queues": ["celery"], "servers": {"hosts": "fast"}}}
    groups = {**GROUPS, "fast": ["worker2"]}
    assert expected_on("worker1", stack(pools=pools), groups).pools == ()
    assert expected_on("worker2", stack(pools=pools), groups).pools == ("default",)


def test_what_is_switched_off_is_not_expected() -> None:
    off = stack(beat={"enabled": False}, flower={"enabled": False, "port": 1}, database={"kind": "external"})
    assert expected_on("app1", off, GROUPS).components == ("web",)
    assert expected_on("data1", off, GROUPS).components == ("redis",)


def test_every_unit_of_a_host_is_asked_for() -> None:
    asked = questions(expected_on("app1", stack(), GROUPS), stack())
    assert asked["units"] == [
        "shop-web.service",
        "shop-web.socket",
        "nginx.service",
        "shop-beat.service",
        "shop-flower.service",
    ]
    assert asked["heartbeats"] == {"shop-beat.service": "/run/shop-beat/heartbeat"}
    assert asked["pages"]["web"]["port"] == 8443
    assert "broker" not in asked


def test_certificates_of_other_components_are_of_no_interest() -> None:
    def asked(host: str) -> list[str]:
        names: list[str] = questions(expected_on(host, stack(), GROUPS), stack())["certificates"]
        return names

    assert asked("data1") == ["ca.crt", "redis.crt", "status.crt", "postgresql.crt"]
    assert asked("app1") == ["ca.crt", "web.crt", "beat.crt", "flower.crt", "site.pem"]


@pytest.mark.parametrize("queue", ["celery", "extra", "high"])
def test_the_broker_counts_every_queue_that_is_consumed_or_filled(queue: str) -> None:
    assert queue in questions(expected_on("data1", stack(), GROUPS), stack())["broker"]["queues"]


def test_a_queue_is_counted_once() -> None:
    assert sorted(queues_of(stack())) == ["celery", "extra", "high"]


def test_the_broker_is_the_one_of_the_description() -> None:
    groups = {**GROUPS, "rabbitmq": ["data1"]}
    described = {
        **stack(),
        "broker": {"component": "rabbitmq", "topology": "single", "port": 5671, "management_port": 15671},
    }
    asked = questions(expected_on("data1", described, groups), described)
    assert (asked["broker"]["component"], asked["broker"]["port"]) == ("rabbitmq", 15671)
    assert "shop-rabbitmq.service" in asked["units"]
    assert "shop-redis.service" not in asked["units"]
    assert {"rabbitmq.crt", "status.crt"} <= set(asked["certificates"])
    assert "redis.crt" not in asked["certificates"]
