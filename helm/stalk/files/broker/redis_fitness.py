"""What a Redis must be and allow, as broker and as store of results."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator, Sequence

from ansible_collections.stalk.celery.plugins.module_utils.broker.endpoint import Unfit
from ansible_collections.stalk.celery.plugins.module_utils.broker.resp import Redis, RedisRefused, Reply, figures
from ansible_collections.stalk.celery.plugins.module_utils.broker_url import BrokerUrl

LEAST_VERSION = (6, 2)

# What kombu 5.7 and Celery 5.7 do with keys of their prefix (files/redis/rights.yaml, the rights of a worker and of the
# web), and with channels, whose patterns an ACL takes letter by letter.
RESULTS = """
GET {key} | MGET {key} | SET {key} x | SETEX {key} 1 x | DEL {key} | EXPIRE {key} 1 | INCR {key}
PUBLISH {results} x | SUBSCRIBE {results} | UNSUBSCRIBE {results}
RPUSH {key} x | LRANGE {key} 0 0 | LLEN {key} | ZADD {key} 1 x | ZRANGE {key} 0 0 | ZCOUNT {key} 0 1
"""
MESSAGES = """
LPUSH {key} x | BRPOP {key} 1 | RPOP {key} | EXISTS {key} | PEXPIRE {key} 1
SADD {key} x | SREM {key} x | SMEMBERS {key} | SISMEMBER {key} x
HSET {key} x x | HGET {key} x | HDEL {key} x | HLEN {key}
ZREM {key} x | ZRANGEBYSCORE {key} 0 1 | ZREVRANGEBYSCORE {key} 1 0
EVALSHA {digest} 1 {key} | SCRIPT LOAD x | SCRIPT EXISTS {digest} | TIME | WATCH {key} | UNWATCH
PUBLISH {commands} x | SUBSCRIBE {commands} | PSUBSCRIBE {events} | PSUBSCRIBE {workers} | PUNSUBSCRIBE {events}
"""


def ask_redis(
    connected: socket.socket, url: BrokerUrl, app: str, queues: Sequence[str], untold: list[str]
) -> Iterator[Unfit]:
    """Without queues it is a store of results, from which nothing is lost that a task did."""
    with Redis(connected) as redis:
        log_in(redis, url)
        yield from kind_problems(redis, url, untold)
        if queues:
            yield from eviction_problems(redis, url, untold)
        yield from right_problems(redis, url, app, RESULTS + MESSAGES if queues else RESULTS)


def log_in(redis: Redis, url: BrokerUrl) -> None:
    try:
        if url.password:
            redis.call("AUTH", url.username, url.password)
        redis.call("PING")
    except RedisRefused as error:
        raise Unfit(
            f"{url.address} does not let the user {url.username or 'default'} in ({error})",
            "correct user and password in the secret",
        ) from None
    try:
        redis.call("SELECT", url.place)
    except RedisRefused as error:
        if "cluster" in str(error).lower():
            raise Unfit(*cluster(url)) from None
        raise Unfit(
            f"{url.address} does not give the database {url.place} ({error})", "end the secret with one that it has"
        ) from None


def cluster(url: BrokerUrl) -> tuple[str, str]:
    return (
        f"{url.address} is a Redis Cluster, over which Celery's transactions cannot go",
        "use one with cluster mode disabled",
    )


def kind_problems(redis: Redis, url: BrokerUrl, untold: list[str]) -> Iterator[Unfit]:
    """HELLO tells what INFO does, which is forbidden more often."""
    try:
        told = pairs(redis.call("HELLO", "2"))
    except RedisRefused:
        try:
            info = figures(str(redis.call("INFO", "server")))
            told = {"version": info.get("redis_version", ""), "mode": info.get("redis_mode", "")}
        except RedisRefused:
            untold.append(f"{url.address} does not tell its version (INFO and HELLO are forbidden)")
            return
    if told.get("mode") == "cluster":
        yield Unfit(*cluster(url))
    if told.get("role") in ("replica", "slave"):
        yield Unfit(f"{url.address} is a replica, which takes no message", "use the address of its primary")
    version = tuple(map(int, re.findall(r"\d+", told.get("version", ""))[:2]))
    if version and version < LEAST_VERSION:
        least = ".".join(map(str, LEAST_VERSION))
        yield Unfit(f"{url.address} is a Redis {told['version']} where {least} is the least", "use a newer one")


def eviction_problems(redis: Redis, url: BrokerUrl, untold: list[str]) -> Iterator[Unfit]:
    policy = eviction_policy(redis)
    if not policy:
        untold.append(f"{url.address} does not tell its maxmemory-policy, which has to be noeviction")
    elif policy != "noeviction":
        yield Unfit(
            f"{url.address} has the maxmemory-policy {policy}, by which it throws messages away when it is full",
            "set it to noeviction",
        )


def eviction_policy(redis: Redis) -> str:
    """Managed ones forbid CONFIG, and some INFO."""
    try:
        return pairs(redis.call("CONFIG", "GET", "maxmemory-policy"))["maxmemory-policy"]
    except (RedisRefused, KeyError):
        pass
    try:
        return figures(str(redis.call("INFO", "memory"))).get("maxmemory_policy", "")
    except RedisRefused:
        return ""


def right_problems(redis: Redis, url: BrokerUrl, app: str, commands: str) -> Iterator[Unfit]:
    """Redis looks at the rights to a command when it queues it in a transaction, and this one is thrown away."""
    forbidden = dict.fromkeys(each for each in probed(redis, commands, app, url.place) if each)
    if forbidden:
        yield Unfit(
            f"the user {url.username or 'default'} of {url.address} may not use {', '.join(forbidden)}",
            f"let it, on the keys ~{app}:* and the channels that docs/brokers.md lists",
        )


def probed(redis: Redis, commands: str, app: str, database: str) -> Iterator[str]:
    """What is forbidden: a command, the keys or a channel."""
    names = {
        "key": f"{app}:stalk-check",
        "results": f"{app}:celery-task-meta-stalk-check",
        "commands": f"{app}:/{database}.celery.pidbox",
        "events": f"{app}:/{database}.celeryev/*",
        "workers": f"{app}:/{database}.celeryev/worker.*",
        "digest": "0" * 40,
    }
    try:
        redis.call("MULTI")
    except RedisRefused:
        yield "MULTI"
        return
    for command in filter(None, map(str.split, re.split(r"[|\n]", commands))):
        words = [word.format_map(names) for word in command]
        try:
            redis.call(*words)
        except RedisRefused as error:
            yield refused_part(str(error), words, app)
    try:
        redis.call("DISCARD")
    except RedisRefused as error:
        yield refused_part(str(error), ["DISCARD"], app)


def refused_part(error: str, words: Sequence[str], app: str) -> str:
    """Only NOPERM is about rights; WATCH, say, is refused in any transaction."""
    if not error.startswith("NOPERM"):
        return ""
    if " channel" in error:
        return f"the channel {words[1]}"
    if " key" in error:
        return f"the keys {app}:*"
    return " ".join(words[:2]) if words[0] == "SCRIPT" else words[0]


def waiting_in_redis(connected: socket.socket, url: BrokerUrl, app: str, queues: Sequence[str]) -> dict[str, int]:
    """Messages that nobody took yet, by queue, each of which is one list."""
    with Redis(connected) as redis:
        log_in(redis, url)
        return {queue: int(str(redis.call("LLEN", f"{app}:{queue}"))) for queue in queues}


def pairs(reply: Reply) -> dict[str, str]:
    assert isinstance(reply, list)
    return {str(name): str(value) for name, value in zip(reply[::2], reply[1::2], strict=False)}
