"""stranded.py DESCRIBED ABANDONED: refuses a description in which no pool consumes a queue that has messages any more,
or whose broker is of another kind or topology, which would begin empty, or whose app has another name, which would take
the broker and all pools away; or by which the nodes of a cluster would lose each other.

The chart runs it before an upgrade and a rollback, with lists of queues in JSON; the playbooks take its words. The name
and the queues of the app that runs, and its broker's kind, topology, nodes and management_port, are in a ConfigMap,
hence in DEPLOYED_APP, DEPLOYED_QUEUES, DEPLOYED_BROKER, DEPLOYED_TOPOLOGY, DEPLOYED_NODES and DEPLOYED_MANAGEMENT_PORT:
messages in a queue that no pool ever took, for its name was misspelt say, are no reason. Redis keeps what no pool takes
any more in a set until it is seen empty, so that the next run names what came while the pool left; in RabbitMQ the
queue itself stays.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import ssl
import sys
import time
from base64 import b64encode
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote, unquote, urlsplit

# kombu 5.7, transport/redis.py: Channel.sep, between a queue and its priority and in a binding.
SEPARATOR = "\x06\x16"
PRIORITIES = range(1, 10)
LEFT = "_stalk.left_queues"
# Where a kind of broker is not called like its component (files/description/rules.yaml).
COMPONENTS = {"valkey": "redis"}
MESSAGES_AT_ONCE = 1000
SECONDS_TO_ANSWER = 10

# In RabbitMQ: queues of dead letters, by their pool; of messages that were sent for later; and of commands to workers,
# their answers and events, which are nobody's work.
DEAD = "@dead."
DELAYED = re.compile(r"celery_delayed_\d+")
# States in which RabbitMQ has no figures of a queue (rabbit_quorum_queue, state_info).
UNCOUNTED = ("minority", "crashed")
# kombu 5.7, transport/native_delayed_delivery.py: MAX_NUMBER_OF_BITS_TO_USE.
DELAYED_LEVELS = range(28)
PASSING = re.compile(r"(.*[.])?celery[.]pidbox|celeryev([.].*)?")
# A quorum queue counts every 5 s, and the management API looks at that every 5 s (quorum_tick_interval,
# collect_statistics_interval).
SECONDS_UNTIL_COUNTED = 11


class BrokerSilent(Exception):
    """Why nobody can tell what the queues hold; it never repeats the broker's password."""


def stranding(queue: str, reason: str, way_out: str) -> str:
    return (
        f"queue {queue}: {reason} and no pool would consume it; keep a pool for it until it is empty, "
        f"or leave what it holds with {way_out}"
    )


def waits(count: int) -> str:
    return f"{messages(count)} {'waits' if count == 1 else 'wait'}"


def takes(who: str, count: int) -> str:
    return f"{who} holds {messages(count)}"


def holds(who: str, count: int) -> str:
    return f"{takes(who, count)} for later"


def may_be_for_it(count: int) -> str:
    """RabbitMQ tells of no delayed message which queue it is for."""
    return f"{waits(count)} for later, of which some may be for it"


def untold(error: object) -> str:
    return f"the broker does not tell how many messages wait ({error})"


def messages(count: int) -> str:
    return f"{count} message{'' if count == 1 else 's'}"


def dead_letters(count: int) -> str:
    return f"{count} dead letter{'' if count == 1 else 's'}"


def queue_of(name: str) -> str:
    """The queue that one of its lists, of one priority, belongs to."""
    return name.partition(SEPARATOR)[0]


def way_out(queue: str) -> str:
    return f"helm upgrade --set 'kubernetes.abandon={{{queue}}}' or helm rollback --no-hooks"


def renaming(deployed: str, described: str) -> str:
    return (
        f"app.name: {described} would begin empty, and leave the messages and the data of {deployed} to nobody; "
        f"set it back to {deployed}, or install {described} as another release"
    )


def moving(key: str, deployed: str, described: str, found: Iterable[str], queues: Iterable[str]) -> str:
    return (
        f"broker.{key}: {described} would begin empty, and leave what {deployed} has to nobody ({', '.join(found)}); "
        f"keep {deployed} until its queues are empty, or leave what they hold with "
        f"helm upgrade --set 'kubernetes.abandon={{{','.join(sorted(set(queues)))}}}'"
    )


def shrinking(deployed: int, described: int) -> str:
    """A node that is away for good stays in each queue, and counts for its majority."""
    return (
        f"broker.kubernetes.replicas: {described} would take nodes out of their queues, which {deployed} keep; "
        f"set it to {deployed} or more"
    )


def parting(deployed: int | str, described: int | str) -> str:
    """Nodes reach each other by ports that are reckoned from it, and restart one after another."""
    return (
        f"broker.management_port: with {described} the nodes of the cluster would lose each other, which meet by "
        f"{deployed}; set it back to {deployed}"
    )


def problems(queues: Iterable[str], waiting: Mapping[str, int], later: Mapping[str, int]) -> Iterator[str]:
    for queue in sorted(queues):
        if count := waiting.get(queue, 0):
            yield stranding(queue, waits(count), way_out(queue))
        if count := later.get(queue, 0):
            yield stranding(queue, holds("a worker", count), way_out(queue))


def destinations(exchange: str, routing_key: str, bindings: Iterable[str]) -> set[str]:
    """The queues to which kombu would give a message back (transport/virtual/base.py, `_lookup`)."""
    if not exchange:
        return {routing_key}
    found = (binding.split(SEPARATOR) for binding in bindings)
    return {
        queue for key, pattern, queue in found if key == routing_key or (pattern and re.match(pattern, routing_key))
    }


class Broker(Protocol):
    """One that runs."""

    def waiting(self, queues: Iterable[str]) -> Counter[str]:
        """Messages that nobody took yet, by queue."""

    def held(self) -> tuple[Counter[str], Counter[str]]:
        """Messages that workers took, by queue: all, and those that were sent for later."""

    def delayed(self) -> int:
        """Messages that the broker itself keeps for later, whatever queue they are for."""

    def dead_letters(self) -> Mapping[str, int]:
        """Messages that were given out too often or refused, by pool; of those that have any."""

    def left(self) -> set[str]:
        """Queues that no pool of an earlier release took any more."""

    def keep_left(self, queues: set[str], before: set[str]) -> None:
        """What the next run has as `left`."""


class RabbitMQ:
    """What its management API tells, which lists every queue that a pool ever had."""

    def __init__(self, listed: Sequence[Mapping[str, Any]]) -> None:
        """Refuses to count what more than half of a cluster's nodes have to be asked for."""
        for each in listed:
            if each.get("state") in UNCOUNTED:
                raise BrokerSilent(f"the queue {each['name']} is {each['state']}")
        # A queue that was just made has no figures yet.
        self.ready = Counter({each["name"]: int(each.get("messages_ready", 0)) for each in listed})
        self.taken = Counter({each["name"]: int(each.get("messages_unacknowledged", 0)) for each in listed})

    def waiting(self, queues: Iterable[str]) -> Counter[str]:
        return Counter({queue: self.ready[queue] for queue in queues})

    def held(self) -> tuple[Counter[str], Counter[str]]:
        return self.taken, Counter()

    def delayed(self) -> int:
        return sum(count for queue, count in self.ready.items() if DELAYED.fullmatch(queue))

    def dead_letters(self) -> Mapping[str, int]:
        return {
            queue.removeprefix(DEAD): count for queue, count in self.ready.items() if queue.startswith(DEAD) and count
        }

    def of_tasks(self) -> set[str]:
        others = re.compile(f"{re.escape(DEAD)}.*|{DELAYED.pattern}|{PASSING.pattern}")
        return {queue for queue in self.ready if not others.fullmatch(queue)}

    def left(self) -> set[str]:
        return self.of_tasks()

    def keep_left(self, queues: set[str], before: set[str]) -> None:
        pass


class ExternalRabbitMQ:
    """What one of the user's own tells a client, which knows queues by name alone: neither what workers took, nor the
    queues that no pool takes any more."""

    def __init__(self, length: Callable[[str], int]) -> None:
        self.length = length

    def waiting(self, queues: Iterable[str]) -> Counter[str]:
        return Counter({queue: self.length(queue) for queue in queues})

    def held(self) -> tuple[Counter[str], Counter[str]]:
        return Counter(), Counter()

    def delayed(self) -> int:
        return sum(self.length(f"celery_delayed_{level}") for level in DELAYED_LEVELS)

    def dead_letters(self) -> Mapping[str, int]:
        return {}

    def left(self) -> set[str]:
        return set()

    def keep_left(self, queues: set[str], before: set[str]) -> None:
        pass


class Redis:
    """What kombu keeps in Redis, read with the rights that a worker of any release has."""

    def __init__(self, client: Any, prefix: str) -> None:
        self.client = client
        self.prefix = prefix

    def waiting(self, queues: Iterable[str]) -> Counter[str]:
        endings = ("", *(f"{SEPARATOR}{priority}" for priority in PRIORITIES))
        lists = [queue + ending for queue in queues for ending in endings]
        counts: Counter[str] = Counter()
        with self.client.pipeline(transaction=False) as pipe:
            for name in lists:
                pipe.llen(self.prefix + name)
            for name, count in zip(lists, pipe.execute(), strict=True):
                counts[queue_of(name)] += count
        return counts

    def held(self) -> tuple[Counter[str], Counter[str]]:
        """One that was sent for later and is due may run, or wait for a free process: nothing in the broker tells, so
        each counts until it is acknowledged."""
        counts: Counter[str] = Counter()
        later: Counter[str] = Counter()
        bindings: dict[str, set[str]] = {}
        for message, exchange, routing_key in self.taken():
            if exchange and exchange not in bindings:
                bindings[exchange] = self.client.smembers(f"{self.prefix}_kombu.binding.{exchange}")
            queues = destinations(exchange, routing_key, bindings.get(exchange, ()))
            counts.update(queues)
            if message.get("headers", {}).get("eta"):
                later.update(queues)
        return counts, later

    def taken(self) -> Iterator[tuple[dict[str, Any], str, str]]:
        tags = self.client.zrange(f"{self.prefix}unacked_index", 0, -1)
        for start in range(0, len(tags), MESSAGES_AT_ONCE):
            with self.client.pipeline(transaction=False) as pipe:
                for tag in tags[start : start + MESSAGES_AT_ONCE]:
                    pipe.hget(f"{self.prefix}unacked", tag)
                # Those that were acknowledged meanwhile are gone.
                yield from (json.loads(taken) for taken in pipe.execute() if taken)

    def delayed(self) -> int:
        return 0

    def dead_letters(self) -> Mapping[str, int]:
        return {}

    def left(self) -> set[str]:
        return set(self.client.smembers(self.prefix + LEFT))

    def keep_left(self, queues: set[str], before: set[str]) -> None:
        """One that is full notes nothing: what comes to these queues later is then not named."""
        from redis import ResponseError

        try:
            if new := queues - before:
                self.client.sadd(self.prefix + LEFT, *sorted(new))
            if old := before - queues:
                self.client.srem(self.prefix + LEFT, *sorted(old))
        except ResponseError as error:
            print(f"The broker does not note which queues no pool takes any more ({error}).")


def refusals(broker: Broker, deployed: set[str], described: set[str], abandoned: set[str]) -> list[str]:
    """None: the broker then remembers what no pool takes any more."""
    for pool, count in sorted(broker.dead_letters().items()):
        print(f"{dead_letters(count)} of pool {pool} in the queue {DEAD}{pool}; docs/rabbitmq.md says what to do.")
    before = broker.left()
    suspects = (deployed | before) - described
    if not suspects:
        broker.keep_left(suspects, before)
        return []
    waiting, (taken, later) = broker.waiting(suspects), broker.held()
    departing = suspects & deployed - abandoned
    if found := list(problems(suspects - abandoned, waiting, later)):
        return found
    if (delayed := broker.delayed()) and departing:
        return [stranding(queue, may_be_for_it(delayed), way_out(queue)) for queue in sorted(departing)]
    broker.keep_left({queue for queue in suspects if queue in deployed or waiting[queue] or taken[queue]}, before)
    return []


def refusals_to_move(
    broker: Broker, change: tuple[str, str, str], deployed: set[str], abandoned: set[str]
) -> list[str]:
    """A worker that stops gives back what it did not begin, so what one has in hand counts too."""
    queues = (deployed | broker.left()) - abandoned
    waiting, (taken, _) = broker.waiting(queues), broker.held()
    found = [f"queue {queue}: {waits(waiting[queue])}" for queue in sorted(queues) if waiting[queue]]
    found += [f"queue {queue}: {takes('a worker', taken[queue])}" for queue in sorted(queues) if taken[queue]]
    named = {queue for queue in queues if waiting[queue] or taken[queue]}
    dead = sum(broker.dead_letters().values())
    if queues and (broker.delayed() or dead):
        named = queues
        found += [f"{waits(count)} for later" for count in [broker.delayed()] if count]
        found += [dead_letters(count) for count in [dead] if count]
    return [moving(*change, found, named)] if found else []


def connect(kind: str) -> Broker:
    """To the broker that runs, which is of this kind; TLS_FILES has for each component the variables of
    docs/contract.md."""
    component = COMPONENTS.get(kind, kind)
    name = "BROKER_API" if component == "rabbitmq" else "CELERY_BROKER_URL"
    try:
        url = (Path(os.environ["CREDENTIALS_DIRECTORY"]) / name).read_text(encoding="utf-8").strip()
        host = urlsplit(url).hostname or ""
    except OSError as error:
        raise BrokerSilent(f"the secret {name}: {error.strerror}") from None
    except ValueError:
        raise BrokerSilent(f"the secret {name} is no address of a {kind}") from None
    if component_at(host) != component:
        raise BrokerSilent(f"since an upgrade failed, {name} names another; helm rollback mends it")
    files = json.loads(os.environ["TLS_FILES"])[component]
    if component == "rabbitmq":
        return rabbitmq(url, files)
    return external_rabbitmq(url, files) if url.startswith("amqps:") else redis_at(url, files)


def component_at(host: str) -> str:
    """What the chart calls the Service of this name, or of a node's."""
    found = re.fullmatch(rf"{re.escape(app_name())}-(redis|rabbitmq)(-node-\d+\.[^.]+\.svc)?", host)
    return found[1] if found else "external"


def redis_at(url: str, files: Mapping[str, str]) -> Redis:
    import redis

    variables = {"ssl_ca_certs": "CELERY_TLS_CA", "ssl_certfile": "CELERY_TLS_CERT", "ssl_keyfile": "CELERY_TLS_KEY"}
    tls = {option: files[variable] for option, variable in variables.items() if variable in files}
    try:
        if url.startswith("sentinel://"):
            return Redis(primary(url, tls), os.environ["CELERY_KEY_PREFIX"])
        # redis-py checks a certificate and its host name unless told otherwise (6.0 and newer).
        client = redis.Redis.from_url(url, socket_timeout=SECONDS_TO_ANSWER, decode_responses=True, **tls)
    except ValueError:
        raise BrokerSilent("the secret CELERY_BROKER_URL is no address of a Redis") from None
    return Redis(client, os.environ["CELERY_KEY_PREFIX"])


def primary(urls: str, tls: Mapping[str, str]) -> Any:
    """A client of the node that the Sentinels name, which are at these URLs (docs/contract.md)."""
    from redis.sentinel import Sentinel

    sentinels = [urlsplit(url) for url in urls.split(";")]
    login = {name: unquote(getattr(sentinels[0], name) or "") for name in ("username", "password")}
    options: dict[str, Any] = {"ssl": True, "socket_timeout": SECONDS_TO_ANSWER, **login, **tls}
    addresses = [(each.hostname, each.port) for each in sentinels]
    asked = Sentinel(addresses, sentinel_kwargs=options, decode_responses=True, **options)
    return asked.master_for(app_name())


def rabbitmq(url: str, files: Mapping[str, str]) -> RabbitMQ:
    """The path of the address is the vhost."""
    parts = urlsplit(url)
    login = b64encode(f"{unquote(parts.username or '')}:{unquote(parts.password or '')}".encode()).decode()
    columns = "columns=name,state,messages_ready,messages_unacknowledged"
    try:
        context = ssl.create_default_context(cafile=files["CELERY_TLS_CA"])
        context.load_cert_chain(files["CELERY_TLS_CERT"], files["CELERY_TLS_KEY"])
        api = http.client.HTTPSConnection(parts.hostname or "", parts.port, timeout=SECONDS_TO_ANSWER, context=context)
        path = f"/api/queues/{quote(parts.path.removeprefix('/'), safe='')}?{columns}"
        api.request("GET", path, headers={"Authorization": f"Basic {login}"})
        answer = api.getresponse()
        if answer.status != http.client.OK:
            raise BrokerSilent(f"its management API answers {answer.status} {answer.reason}")
        return RabbitMQ(json.load(answer))
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise BrokerSilent(str(error) or type(error).__name__) from None


def external_rabbitmq(url: str, files: Mapping[str, str]) -> ExternalRabbitMQ:
    import amqp

    parts = urlsplit(url)
    names = {"ca_certs": "CELERY_TLS_CA", "certfile": "CELERY_TLS_CERT", "keyfile": "CELERY_TLS_KEY"}
    tls = {option: files[variable] for option, variable in names.items() if variable in files}
    connection = amqp.Connection(
        f"{parts.hostname}:{parts.port or 5671}",
        unquote(parts.username or ""),
        unquote(parts.password or ""),
        virtual_host=unquote(parts.path.removeprefix("/")) or "/",
        ssl={**tls, "cert_reqs": ssl.CERT_REQUIRED, "server_hostname": parts.hostname},
        connect_timeout=SECONDS_TO_ANSWER,
        read_timeout=SECONDS_TO_ANSWER,
    )

    def length(queue: str) -> int:
        channel = connection.channel()
        try:
            count: int = channel.queue_declare(queue, passive=True).message_count
            channel.close()
        except amqp.NotFound:
            return 0
        except (OSError, amqp.exceptions.AMQPError) as error:
            raise BrokerSilent(str(error) or type(error).__name__) from None
        return count

    try:
        connection.connect()
    except (OSError, amqp.exceptions.AMQPError) as error:
        raise BrokerSilent(str(error) or type(error).__name__) from None
    return ExternalRabbitMQ(length)


def asked(kind: str, question: Callable[[Broker], list[str]], a_queue_departs: bool) -> list[str]:
    if kind == "rabbitmq":
        if a_queue_departs:
            # Figures from before this look tell neither of what came nor of what went.
            time.sleep(SECONDS_UNTIL_COUNTED)
        return question(connect(kind))
    broker = connect(kind)
    if isinstance(broker, ExternalRabbitMQ):
        return question(broker)
    import redis

    try:
        return question(broker)
    except redis.RedisError as error:
        raise BrokerSilent(str(error)) from None


def stranded(kind: str, deployed: set[str], described: set[str], abandoned: set[str]) -> list[str]:
    departing = sorted(deployed - described - abandoned)
    try:
        return asked(kind, lambda broker: refusals(broker, deployed, described, abandoned), bool(departing))
    except BrokerSilent as silent:
        # Where no queue departs, the release may be what mends the broker.
        if departing:
            return [stranding(queue, untold(silent), way_out(queue)) for queue in departing]
        print(f"No queue departs, and {untold(silent)}, so the release goes on.")
        return []


def moved(kind: str, change: tuple[str, str, str], deployed: set[str], abandoned: set[str]) -> list[str]:
    """To another broker, which takes every queue away from its messages; `change` is the key below `broker`, and its
    value before and after."""
    departing = deployed - abandoned
    try:
        return asked(kind, lambda broker: refusals_to_move(broker, change, deployed, abandoned), bool(departing))
    except BrokerSilent as silent:
        if departing:
            return [moving(*change, [untold(silent)], departing)]
        print(f"Every queue is abandoned, and {untold(silent)}, so the release goes on.")
        return []


def app_name() -> str:
    return os.environ["CELERY_KEY_PREFIX"].rstrip(":")


def found_in(deployed: set[str], described: set[str], abandoned: set[str]) -> list[str]:
    was, app = os.environ["DEPLOYED_APP"], app_name()
    if was != app:
        return [renaming(was, app)]
    kind = os.environ["BROKER"]
    # An earlier chart did not note it.
    before = os.environ.get("DEPLOYED_BROKER", kind)
    if before != kind:
        return moved(before, ("kind", before, kind), deployed, abandoned)
    topology, topology_before = (os.environ.get(name, "single") for name in ("TOPOLOGY", "DEPLOYED_TOPOLOGY"))
    if topology_before != topology:
        return moved(kind, ("topology", topology_before, topology), deployed, abandoned)
    nodes, nodes_before = (int(os.environ.get(name, "1")) for name in ("NODES", "DEPLOYED_NODES"))
    if kind == "rabbitmq" and nodes < nodes_before:
        return [shrinking(nodes_before, nodes)]
    port = os.environ["MANAGEMENT_PORT"]
    port_before = os.environ.get("DEPLOYED_MANAGEMENT_PORT", port)
    if topology == "cluster" and port_before != port:
        return [parting(port_before, port)]
    return stranded(kind, deployed, described, abandoned)


def main() -> None:
    described, abandoned = (set(json.loads(argument)) for argument in sys.argv[1:])
    deployed = os.environ.get("DEPLOYED_QUEUES")
    if deployed is None:
        print("Nothing tells which queues had a pool before; whether one loses it was not looked at.")
        return
    if found := found_in(set(json.loads(deployed)), described, abandoned):
        sys.exit("\n".join([*found, "Nothing was changed."]))


if __name__ == "__main__":
    main()
