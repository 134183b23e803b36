"""What the nodes of a Redis behind Sentinel, and their Sentinels, say."""

from __future__ import annotations

from functools import partial

from resources.deployment import Deployment, Server
from resources.redis import operate
from resources.waiting import wait_for

ASK = (
    "REDISCLI_AUTH=$(cat /etc/{app}/credentials/redis/sentinel) timeout 5 {cli} -p 26379 --user sentinel "
    "--no-auth-warning --tls --cacert /etc/{app}/pki/ca.crt --cert /etc/{app}/pki/redis.crt "
    "--key /etc/{app}/pki/redis.key "
)


def sentinel(deployment: Deployment, server: Server, *words: str) -> list[str]:
    ask = ASK.format(app=deployment.app, cli=f"{deployment.broker_kind}-cli")
    return server.attempt("sh", "-c", f"{ask} SENTINEL {' '.join(words)}").stdout.split()


def said_by(deployment: Deployment, server: Server) -> str:
    """The primary that the Sentinel there names; nothing when it names none."""
    return (sentinel(deployment, server, "GET-MASTER-ADDR-BY-NAME", deployment.app) or [""])[0]


def information(deployment: Deployment, server: Server) -> dict[str, str]:
    """What the node there says of its replication; nothing when it does not answer."""
    try:
        lines = operate(deployment, server, "INFO", "replication").splitlines()
    except AssertionError:
        return {}
    return dict(line.split(":", 1) for line in lines if ":" in line)


def primary(deployment: Deployment) -> Server:
    answers = [said_by(deployment, server) for server in deployment.on("redis")]
    return deployment.servers[max(set(answers) - {""}, key=answers.count)]


def is_whole(deployment: Deployment) -> bool:
    """Every Sentinel names one primary, which two replicas follow."""
    nodes = deployment.on("redis")
    named = {said_by(deployment, server) for server in nodes}
    if len(named) != 1 or "" in named:
        return False
    told = information(deployment, primary(deployment))
    return told.get("role") == "master" and told.get("min_slaves_good_slaves") == str(len(nodes) - 1)


def until_whole(deployment: Deployment) -> None:
    wait_for("a primary with two replicas", partial(is_whole, deployment), seconds=120)


def until_another_serves(deployment: Deployment, gone: Server, seconds: float = 120) -> None:
    others = [server for server in deployment.on("redis") if server is not gone]
    wait_for("another primary", lambda: {said_by(deployment, each) for each in others} - {gone.name, ""}, seconds)


def redis_unit(deployment: Deployment) -> str:
    return f"{deployment.app}-redis.service"
