"""What a run would end or leave behind."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.stalk.celery.plugins.module_utils.description.chart import chart_defaults
from ansible_collections.stalk.celery.plugins.module_utils.description.derive import derive
from ansible_collections.stalk.celery.plugins.module_utils.description.inventory import Port, ports
from ansible_collections.stalk.celery.plugins.module_utils.memory import Memory
from ansible_collections.stalk.celery.plugins.module_utils.preflight import (
    data_problems,
    departing_pools,
    departing_queues,
    foreign_problems,
    held_problems,
    listener_problems,
    names,
    package_problems,
    queue_problems,
)
from ansible_collections.stalk.celery.plugins.modules.preflight import (
    apps_of,
    holders,
    listeners,
    own_sites,
    unit_in,
    use_of_redis,
)

STACK = {"pools": {"default": {"queues": ["celery"]}, "archive": {"queues": ["moved"]}}}
MEMORY = Memory(pools={"default": ("celery",), "reports": ("reports", "moved")})


def lines(queues: dict[str, int], memory: Memory = MEMORY, abandoned: tuple[str, ...] = ()) -> list[str]:
    return list(queue_problems({"queues": queues}, memory, STACK, abandoned))


def test_a_queue_departs_when_no_pool_has_it_any_more() -> None:
    assert departing_queues(MEMORY, STACK) == {"reports"}
    assert departing_pools(MEMORY, STACK) == {"reports": ["reports"]}
    assert departing_pools(Memory(pools={"other": ("celery",)}), STACK) == {}


def test_messages_that_nobody_would_take_are_refused_in_one_line() -> None:
    assert lines({"reports": 40, "celery": 3}) == [
        "queue reports: 40 messages wait and no pool would consume it; keep a pool for it until it is empty, "
        "or leave what it holds with -e stalk_abandon=reports"
    ]
    assert lines({"reports": 0}) == []
    assert lines({"reports": 40}, abandoned=("reports",)) == []


def test_messages_of_every_priority_count() -> None:
    (line,) = lines({"reports": 1, "reports\x06\x163": 1})
    assert line.startswith("queue reports: 2 messages wait ")


def test_a_queue_that_nobody_consumed_before_is_no_reason() -> None:
    assert lines({"misspelt": 2}) == []


def test_without_memory_every_queue_outside_of_the_description_counts() -> None:
    (line,) = lines({"misspelt": 1, "celery": 4}, Memory())
    assert line.startswith("queue misspelt: 1 message waits ")


def test_a_broker_that_does_not_answer_is_a_reason_only_when_a_queue_departs() -> None:
    silent: dict[str, Any] = {"error": "refused"}
    (line,) = queue_problems(silent, MEMORY, STACK, ())
    assert line.startswith("queue reports: the broker does not tell how many messages wait (refused) and ")
    assert list(queue_problems(silent, Memory(pools={"default": ("celery",)}), STACK, ())) == []
    assert list(queue_problems(silent, Memory(), STACK, ())) == []


def test_what_a_worker_took_ahead_of_its_time_counts() -> None:
    departing = {"reports": ["reports"]}
    (line,) = held_problems("worker1", {"reports": 3}, departing, ())
    assert line.startswith("queue reports: pool reports on worker1 holds 3 messages for later and no pool ")
    assert list(held_problems("worker1", {"reports": 0}, departing, ())) == []
    assert list(held_problems("worker1", {"reports": 3}, departing, ("reports",))) == []


def test_a_port_on_which_another_listens_is_refused() -> None:
    https = Port("web", ("web", "servers", "https_port"), 443, "web.servers.https_port")
    database = Port("postgresql", (), 5432, "PostgreSQL's port")
    broker = Port("rabbitmq", ("broker", "port"), 6379, "broker.port")
    management = Port("rabbitmq", (), 15671, "RabbitMQ's HTTPS port")
    listening = {
        "443": ["apache2.service"],
        "5432": ["postgresql@15-other.service"],
        "6379": ["shop-redis.service"],
        "15671": ["shop-eu-rabbitmq.service"],
    }
    assert list(listener_problems("app1", "shop", [https, database, broker, management], listening)) == [
        "web.servers.https_port: apache2.service on app1 already listens on 443; stop and disable it there, or set "
        "another port",
        "PostgreSQL's port: postgresql@15-other.service on app1 already listens on 5432; stop and disable it there",
        "RabbitMQ's HTTPS port: shop-eu-rabbitmq.service on app1 already listens on 15671; stop and disable it there",
    ]


@pytest.mark.parametrize("broker", [{"kind": "redis"}, {"kind": "rabbitmq"}, {"kind": "external"}])
def test_the_fact_stack_has_every_port_of_the_description(broker: dict[str, str]) -> None:
    values = chart_defaults()
    values["broker"] |= broker
    assert ports(derive(values)) == ports(values)


@pytest.mark.parametrize("around", ["", "/docker/4f1c"], ids=["host", "container"])
@pytest.mark.parametrize("hierarchies", ["0::{}\n", "9:name=systemd:{}\n8:pids:/\n0::/\n"], ids=["unified", "hybrid"])
@pytest.mark.parametrize(
    ("path", "unit"),
    [
        ("/system.slice/nginx.service", "nginx.service"),
        ("/system.slice/system-postgresql.slice/postgresql@15-main.service", "postgresql@15-main.service"),
        ("/user.slice/user-1000.slice/user@1000.service/app.slice/redis-server.service", ""),
        ("/system.slice/docker-4f1c.scope/system.slice/nginx.service", ""),
        ("/docker/77aa/system.slice/nginx.service", ""),
        ("/user.slice/user-1000.slice/session-4.scope", ""),
    ],
)
def test_a_process_is_known_by_its_service_of_the_system(path: str, unit: str, hierarchies: str, around: str) -> None:
    of_systemd = hierarchies.format(f"{around}/init.scope")
    assert unit_in(hierarchies.format(around + path), of_systemd) == unit


def test_a_listener_without_a_process_is_one() -> None:
    assert holders("LISTEN 0 511 0.0.0.0:6379 0.0.0.0:*") == {"something"}


def test_who_listens_on_a_port_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert listeners(port)
    assert listeners(port) == []


def test_a_debian_without_valkey_is_refused_by_its_version() -> None:
    def found(kind: str, debian: str, components: tuple[str, ...] = ("redis", "worker")) -> list[str]:
        stack = {"broker": {"kind": kind, "component": "redis", "topology": "single"}}
        return list(package_problems("data1", stack, components, {"distribution_major_version": debian}))

    assert found("valkey", "12") == [
        "broker.kind: is valkey, and data1 has Debian 12, which has none; name a host with Debian 13 or newer in the "
        "group redis, or set it to redis"
    ]
    assert found("valkey", "13") == found("redis", "12") == found("valkey", "12", ("worker",)) == []


def test_a_cluster_of_rabbitmq_is_refused_where_its_version_is_too_old() -> None:
    def found(topology: str, debian: str) -> list[str]:
        stack = {"broker": {"kind": "rabbitmq", "component": "rabbitmq", "topology": topology}}
        return list(package_problems("mq1", stack, ("rabbitmq",), {"distribution_major_version": debian}))

    assert found("cluster", "12") == [
        "broker.topology: is cluster, and mq1 has Debian 12, whose rabbitmq takes no lost member of a queue back by "
        "itself; name hosts with Debian 13 or newer in the group rabbitmq"
    ]
    assert found("cluster", "13") == found("single", "12") == []


def test_nodes_do_not_begin_without_the_one_that_has_the_data() -> None:
    stack = {"broker": {"component": "redis", "topology": "sentinel"}}
    groups = {"redis": ["data1", "data2", "data3"]}

    def found(held: list[str], run: list[str], host: str = "data2") -> list[str]:
        return list(data_problems(host, stack, groups, held, run))

    assert found(["data1"], ["data2", "data3"]) == [
        "broker.topology: is sentinel, and this run leaves out data1, where the data is; name it in --limit too"
    ]
    assert found(["data1"], ["data1", "data2", "data3"]) == found([], ["data2", "data3"]) == []
    # The others have everything, too.
    assert found(["data1", "data2"], ["data2", "data3"]) == []
    assert found(["data1"], ["worker1"], "worker1") == []


def test_a_service_of_others_is_refused_unless_its_host_is_named() -> None:
    found = {"redis": "redis-server.service runs and has keys"}
    assert list(foreign_problems("data1", found, ())) == [
        "redis on data1: redis-server.service runs and has keys, and Stalk would take it over; drain and stop it, name "
        "another host in the group redis, or go on with -e stalk_take_over=data1"
    ]
    assert list(foreign_problems("data1", found, ("data1",))) == []


@pytest.mark.parametrize("given", ["a,b", "a, b", ["a", "b"]])
def test_names_come_from_the_command_line_or_from_a_list(given: Any) -> None:
    assert names(given) == ["a", "b"]
    assert names(None) == []


@pytest.mark.parametrize(
    ("info", "use"),
    [
        ("connected_clients:1\r\nused_memory:1\n", ""),
        ("connected_clients:1\n# Keyspace\ndb0:keys=3,expires=0\n", "has keys"),
        ("connected_clients:4\n", "has clients"),
        ("NOAUTH Authentication required.\n", "keeps what it holds to itself"),
        (None, "keeps what it holds to itself"),
    ],
)
def test_a_fresh_redis_is_nobodys(info: str | None, use: str) -> None:
    assert use_of_redis(info) == use


def test_the_page_of_the_package_is_no_site(tmp_path: Path) -> None:
    for folder in ("sites-enabled", "conf.d"):
        (tmp_path / folder).mkdir()
    (tmp_path / "sites-enabled/default").touch()
    assert own_sites(tmp_path) == []
    (tmp_path / "conf.d/blog.conf").touch()
    (tmp_path / "sites-enabled/shop").touch()
    assert own_sites(tmp_path) == [f"{tmp_path}/conf.d/blog.conf", f"{tmp_path}/sites-enabled/shop"]


def test_what_came_to_a_queue_while_its_pool_left_is_found_afterwards() -> None:
    memory = MEMORY.consumed({"default": ["celery"], "archive": ["moved"]}, only=True)
    assert departing_queues(memory, STACK) == {"reports"}
    assert lines({"reports": 2}, memory)[0].startswith("queue reports: 2 messages wait and no pool would consume it; ")
    assert lines({"reports": 0, "celery": 5}, memory) == []


def test_an_nginx_that_stalk_wrote_for_another_app_is_that_app_s(tmp_path: Path) -> None:
    assert apps_of(tmp_path) == []
    (tmp_path / "nginx.conf").write_text("# Written by Stalk for books. Additions go to /etc/nginx/conf.d/.\n")
    assert apps_of(tmp_path) == ["the app books"]


def test_what_rabbitmq_delays_may_be_for_a_queue_that_departs() -> None:
    broker = {"queues": {"reports": 0}, "delayed": 3}
    (line,) = queue_problems(broker, MEMORY, STACK, ())
    assert line.startswith("queue reports: 3 messages wait for later, of which some may be for it and no pool would ")
    assert list(queue_problems(broker, MEMORY, STACK, ("reports",))) == []
    assert list(queue_problems({**broker, "delayed": 0}, MEMORY, STACK, ())) == []
