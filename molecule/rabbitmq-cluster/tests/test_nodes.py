"""Three nodes are one cluster, which loses no task with one of them."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from resources.certificates import Authority, Pair
from resources.deployment import Deployment, Server
from resources.effects import once
from resources.refused import refusal
from resources.waiting import wait_for

HANDSHAKE = Path(__file__).parents[2] / "resources" / "handshake.py"
PORTS = {"rabbitmq": 5671, "https": 15671, "distribution": 25671}
QUEUE = "reports"
NODES = 3
SECONDS_UNTIL_ALL_IS_WELL = 300


def control(deployment: Deployment, server: Server, *arguments: str, program: str = "rabbitmqctl") -> str:
    return server.run(f"/usr/local/lib/{deployment.app}/{program}", "--quiet", *arguments)


def unit(deployment: Deployment) -> str:
    return f"{deployment.app}-rabbitmq.service"


def running(deployment: Deployment, server: Server) -> set[str]:
    status = json.loads(control(deployment, server, "cluster_status", "--formatter=json"))
    return {node.partition("@")[2] for node in status["running_nodes"]}


def queues(deployment: Deployment, server: Server) -> dict[str, dict[str, Any]]:
    columns = ("name", "type", "leader", "members", "online")
    listed = json.loads(
        control(deployment, server, "list_queues", "--vhost", deployment.app, "--formatter=json", *columns)
    )
    return {queue["name"]: queue for queue in listed if "quorum" in queue["type"]}


def hosts_of(nodes: list[str]) -> set[str]:
    return {node.partition("@")[2] for node in nodes}


def all_nodes_are_online(deployment: Deployment) -> bool:
    """A busy node may not tell in time."""
    names = {server.name for server in deployment.on("rabbitmq")}
    server = deployment.first("rabbitmq")
    try:
        found = queues(deployment, server).values()
        return running(deployment, server) == names and all(hosts_of(queue["online"]) == names for queue in found)
    except AssertionError:
        return False


def main_processes(deployment: Deployment) -> dict[str, str]:
    return {server.name: server.property(unit(deployment), "MainPID") for server in deployment.on("rabbitmq")}


def other_than_the_apps(deployment: Deployment) -> Server:
    """Nor beat's, whose sweep sends again what a queue without a leader did not take."""
    apps = {deployment.first(component).name for component in ("worker", "beat")}
    return next(server for server in deployment.on("rabbitmq") if server.name not in apps)


@pytest.fixture(autouse=True)
def whole(deployment: Deployment) -> None:
    wait_for("the cluster is whole", lambda: all_nodes_are_online(deployment), SECONDS_UNTIL_ALL_IS_WELL)


def test_every_queue_is_on_every_node_and_not_all_are_led_by_one(deployment: Deployment) -> None:
    names = {server.name for server in deployment.on("rabbitmq")}
    assert len(names) == NODES
    found = queues(deployment, deployment.first("rabbitmq"))
    described = {queue for pool in deployment.pools().values() for queue in pool["queues"]}
    assert found.keys() >= described
    assert {name: hosts_of(queue["members"]) for name, queue in found.items()} == dict.fromkeys(found, names)


def answer_of(deployment: Deployment, kind: str, pair: Pair | None) -> dict[str, Any]:
    client, server = deployment.first("worker"), other_than_the_apps(deployment)
    tls = pair and {"ca": (deployment.state / "pki" / "ca.crt").read_text(), **vars(pair)}
    question = {"kind": kind, "host": server.name, "port": PORTS[kind], "tls": tls, "commands": []}
    answer: dict[str, Any] = client.python(HANDSHAKE, question)
    return answer


@pytest.mark.parametrize("kind", PORTS)
def test_only_certificates_of_the_stack_reach_a_port_of_a_node(deployment: Deployment, kind: str) -> None:
    def refused(pair: Pair | None) -> bool:
        return bool(answer_of(deployment, kind, pair)["refused"])

    assert not refused(deployment.authority.leaf("rabbitmq"))
    assert [refused(pair) for pair in (None, Pair("", ""), Authority.new("shop CA").leaf("rabbitmq"))] == [True] * 3


def assert_the_cookie_is_one_and_its_nodes_alone_read_it(deployment: Deployment) -> None:
    path = f"/var/lib/{deployment.app}-rabbitmq/.erlang.cookie"
    servers = deployment.on("rabbitmq")
    assert {server.run("cat", path) for server in servers} == {deployment.secret("RABBITMQ_ERLANG_COOKIE")}
    assert {server.run("stat", "--format=%U %a", path) for server in servers} == {"rabbitmq 400\n"}


def seconds_until_work_flows(deployment: Deployment, name: str) -> tuple[list[str], float]:
    started = time.monotonic()
    keys = deployment.send_effects(name, 3, 0, QUEUE)
    deployment.all_effects(keys, SECONDS_UNTIL_ALL_IS_WELL)
    return keys, time.monotonic() - started


def test_a_port_by_which_the_nodes_would_lose_each_other_is_refused(deployment: Deployment) -> None:
    assert refusal(deployment, {"broker": {"management_port": 16000}}) == (
        "broker.management_port: with 16000 the nodes of the cluster would lose each other, which meet by 15671; "
        "set it back to 15671"
    )


@pytest.mark.parametrize("leads", [True, False], ids=["leader", "follower"])
def test_a_killed_node_costs_no_task(deployment: Deployment, leads: bool) -> None:
    running_tasks = deployment.send_effects("killed", 4, 3, QUEUE)
    delayed = [key for due in (10, 20, 30) for key in deployment.send_effects("killed-delayed", 2, 0, QUEUE, due)]
    wait_for("one runs", lambda: deployment.ledger(running_tasks))
    leader = queues(deployment, deployment.first("rabbitmq"))[QUEUE]["leader"].partition("@")[2]
    before = main_processes(deployment)
    killed = next(name for name in before if (name == leader) is leads)
    deployment.servers[killed].run("systemctl", "kill", "--signal=SIGKILL", unit(deployment))
    keys, seconds = seconds_until_work_flows(deployment, "after-the-kill")
    print(f"{killed} was killed, {leader} led: work flowed after {seconds:.0f} s")
    assert once(deployment.all_effects([*running_tasks, *delayed, *keys], SECONDS_UNTIL_ALL_IS_WELL))
    wait_for("systemd starts it again", lambda: main_processes(deployment)[killed] not in (before[killed], "0"))


@pytest.fixture
def cut_off(deployment: Deployment) -> Iterator[Callable[[], Server]]:
    server = other_than_the_apps(deployment)

    def cut() -> Server:
        server.run("ip", "link", "set", "eth0", "down")
        return server

    yield cut
    server.run("ip", "link", "set", "eth0", "up")


def test_a_node_that_is_cut_off_costs_no_task_and_comes_back(
    deployment: Deployment, cut_off: Callable[[], Server]
) -> None:
    running_tasks = deployment.send_effects("cut", 4, 3, QUEUE)
    wait_for("one runs", lambda: deployment.ledger(running_tasks))
    server = cut_off()
    # By Erlang's own 60 s no queue that it leads would have another leader before 45 s.
    wait_for(
        "the others see it gone", lambda: server.name not in running(deployment, deployment.first("worker")), seconds=35
    )
    keys, seconds = seconds_until_work_flows(deployment, "after-the-cut")
    print(f"{server} was cut off: work flowed after {seconds:.0f} s")
    assert once(deployment.all_effects([*running_tasks, *keys], SECONDS_UNTIL_ALL_IS_WELL))
    said = deployment.play("status.yml", "--limit", f"all:!{server}").output
    assert f"{NODES - 1} of {NODES} nodes" in said, said


def test_nodes_restart_one_after_another_with_a_new_cookie_while_tasks_flow(deployment: Deployment) -> None:
    assert_the_cookie_is_one_and_its_nodes_alone_read_it(deployment)
    before = main_processes(deployment)
    keys = deployment.send_effects("rolled", 40, 0.5, QUEUE)
    (deployment.state / "secrets" / "RABBITMQ_ERLANG_COOKIE").write_text(uuid.uuid4().hex)
    for server in deployment.on("rabbitmq"):
        server.run("touch", f"/etc/{deployment.app}/rabbitmq/rabbitmq.conf")
    deployment.converge("--tags", "rabbitmq")
    after = main_processes(deployment)
    assert all(after[name] not in (before[name], "0") for name in before), (before, after)
    assert_the_cookie_is_one_and_its_nodes_alone_read_it(deployment)
    keys += seconds_until_work_flows(deployment, "after-the-restarts")[0]
    assert once(deployment.all_effects(keys, SECONDS_UNTIL_ALL_IS_WELL))


def test_a_node_that_cannot_come_up_is_mended_before_the_others_restart(deployment: Deployment) -> None:
    """The others wait, before they restart, until it could take their place."""
    last = deployment.on("rabbitmq")[-1]
    before = main_processes(deployment)
    last.run("dd", f"of=/etc/{deployment.app}/credentials/rabbitmq/cookie", stdin="of another cluster")
    last.run("systemctl", "stop", unit(deployment))
    keys = deployment.send_effects("mended", 10, 1, QUEUE)
    last.run("systemctl", "start", "--no-block", unit(deployment))
    wait_for("it waits for its peers", lambda: main_processes(deployment)[last.name] not in (before[last.name], "0"))
    assert last.property(unit(deployment), "ActiveState") == "activating"
    for server in deployment.on("rabbitmq"):
        server.run("touch", f"/etc/{deployment.app}/rabbitmq/rabbitmq.conf")
    deployment.converge("--tags", "rabbitmq")
    after = main_processes(deployment)
    assert all(after[name] not in (before[name], "0") for name in before), (before, after)
    assert all_nodes_are_online(deployment)
    assert once(deployment.all_effects(keys, SECONDS_UNTIL_ALL_IS_WELL))


def test_a_node_whose_data_is_gone_joins_anew(deployment: Deployment) -> None:
    server = other_than_the_apps(deployment)
    keys = deployment.send_effects("wiped", 4, 1, QUEUE)
    server.run("systemctl", "kill", "--signal=SIGKILL", unit(deployment))
    server.run("systemctl", "stop", unit(deployment))
    server.run("rm", "-rf", f"/var/lib/{deployment.app}-rabbitmq/data")
    deployment.converge("--tags", "rabbitmq")
    assert all_nodes_are_online(deployment)
    assert once(deployment.all_effects(keys, SECONDS_UNTIL_ALL_IS_WELL))
    assert deployment.converge("--tags", "rabbitmq").changed == 0


def test_another_host_takes_the_place_of_a_node_before_the_others_restart(deployment: Deployment) -> None:
    left, new = deployment.on("rabbitmq")[-1], deployment.servers["mq4"]
    stay = [server.name for server in deployment.on("rabbitmq")[:-1]]
    keys = deployment.send_effects("replaced", 10, 1, QUEUE)
    left.run("systemctl", "disable", "--now", unit(deployment))
    deployment.place(rabbitmq=[*stay, new.name], spare=[])
    for name in stay:
        deployment.servers[name].run("touch", f"/etc/{deployment.app}/rabbitmq/rabbitmq.conf")
    deployment.converge()
    names = {*stay, new.name}
    server = deployment.first("worker")
    assert running(deployment, server) == names
    assert {frozenset(hosts_of(queue["members"])) for queue in queues(deployment, server).values()} == {
        frozenset(names)
    }
    keys += seconds_until_work_flows(deployment, "after-the-replacement")[0]
    assert once(deployment.all_effects(keys, SECONDS_UNTIL_ALL_IS_WELL))
