"""The descriptions that both targets get."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from ansible_collections.stalk.celery.plugins.module_utils.description.chart import chart_defaults
from ansible_collections.stalk.celery.plugins.module_utils.description.kubernetes_only import kubernetes_only_problems
from ansible_collections.stalk.celery.plugins.module_utils.description.merge import coalesce

ROOT = Path(__file__).resolve().parents[2]
GOOD = ROOT / "tests" / "good"
CHART_CASES = ROOT / "helm" / "stalk" / "ci"

USERS = ("web", "worker", "beat", "flower", "status", "operator")
GENERATED = (*(f"{kind}_PASSWORD_{name}" for kind in ("REDIS", "RABBITMQ") for name in USERS), "DATABASE_PASSWORD")
# Each password is its own name, so that it is seen whose it is.
SECRETS = {name: name for name in GENERATED} | {
    "CELERY_BROKER_URL": "rediss://user:password@redis.example.org:6379/0",
    "CELERY_RESULT_BACKEND": "rediss://user:password@results.example.org:6379/0",
    "DATABASE_URL": "postgresql://user:password@database.example.org:5432/shop?sslmode=verify-full",
    "flower-oauth": "oauth2_key=key\noauth2_secret=secret\n",
    "PAYMENT_KEY": "payment",
    "STRIPE_KEY": "stripe",
    "MAIL_PASSWORD": "mail",
    "NO": "no",
    "ON": "on",
    "Y": "y",
}


def secrets(files: Sequence[Path]) -> dict[str, str]:
    """With the address that an external broker of these files has."""
    brokers = [(yaml.safe_load(file.read_text()) or {}).get("broker") or {} for file in files]
    rabbitmq = any(broker.get("external") == "rabbitmq" for broker in brokers)
    return SECRETS | ({"CELERY_BROKER_URL": "amqps://user:password@rabbitmq.example.org/shop"} if rabbitmq else {})


def cases() -> dict[str, tuple[Path, ...]]:
    """The description of the demo, each `NAME.yml` with `NAME.second.yml` over it, and those of the chart's own tests
    that servers take too."""
    found: dict[str, tuple[Path, ...]] = {"stack": (ROOT / "stack.yml",)}
    found |= {f"chart {path.stem}": (path,) for path in sorted(CHART_CASES.glob("*.yaml")) if on_servers_too(path)}
    for first in sorted(GOOD.glob("*.yml")):
        second = first.with_suffix(".second.yml")
        if not first.stem.endswith(".second"):
            found[first.stem] = (first, second) if second.exists() else (first,)
    return found


def on_servers_too(path: Path) -> bool:
    """Also none of several nodes, which servers have on several hosts."""
    values = coalesce(yaml.safe_load(path.read_text()), chart_defaults())
    return values["broker"]["topology"] == "single" and not list(kubernetes_only_problems(values))


def issuer(path: Path) -> str:
    values = yaml.safe_load(path.read_text())
    return str(values.get("tls", {}).get("issuer", "stalk"))


def generated(seed: int) -> dict[str, Any]:
    """A description that is accepted, and has something of everything."""
    chance = random.Random(seed)
    queues = [name(chance, "abc019_.:-", 12) for _ in range(chance.randint(1, 8))]
    pools = {name(chance, "abno019-", 8): pool(chance, queues) for _ in range(chance.randint(1, 5))}
    consumed = sorted({queue for each in pools.values() for queue in each["queues"]})
    tasks = [name(chance, "ab.*", 10) for _ in range(chance.randint(0, 12))]
    web = chance.random() < 0.8
    kind = chance.choice(["redis", "valkey", "rabbitmq"])
    return {
        "app": {
            "name": f"a{name(chance, 'no019', 5)}",
            "default_queue": chance.choice(consumed),
            "routes": {task: chance.choice(consumed) for task in tasks},
            "queues": consumed,
            "longest_eta": chance.choice([0, 1, 86400, 10_000_000]),
            "env": environment(chance),
        },
        "broker": {
            "kind": kind,
            "port": chance.choice([None, chance.randint(1024, 65535)]),
            "management_port": chance.randint(1024, 55535),
            "maxmemory": chance.choice([0, "256mb", "2gb", 300_000_000, 2_000_000_000]),
            "disk_free_limit": chance.choice([0, "1gb", 2_000_000_000]),
            "delivery_limit": chance.randint(1, 1_000_000),
            "appendfsync": chance.choice(["everysec", "always"]),
        },
        "results": {
            "kind": chance.choice(["auto", "auto" if kind == "rabbitmq" else "redis", "database", "none"]),
            "expires": chance.randint(60, 10_000_000),
        },
        "pools": {"default": None, **pools},
        "beat": {"enabled": chance.random() < 0.8, "lease": {"ttl": chance.randint(10, 300)}},
        "flower": {"enabled": web and chance.random() < 0.8, "max_tasks": chance.randint(1, 1_000_000)},
        "web": {"enabled": web, "workers": chance.randint(1, 64), "timeout": chance.randint(1, 3600)},
    }


def pool(chance: random.Random, queues: Sequence[str]) -> dict[str, Any]:
    kind = chance.choice(["prefork", "gevent", "threads", "solo"])
    limit = chance.choice([2, 60, 1800, 86400, 1_000_000])
    prefork = {
        "max_tasks_per_child": chance.choice([None, 1, 1_000_000]),
        "max_memory_per_child": chance.choice([None, 50_000, 10_000_000]),
        "concurrency": chance.choice(["auto", 1, 32]),
    }
    return {
        "queues": sorted(set(chance.choices(queues, k=3))),
        "pool": kind,
        "time_limit": limit,
        "soft_time_limit": limit - 1,
        "grace": chance.choice([None, limit + 30, limit + 1000]),
        "heartbeat_max_age": limit + 30 if kind == "solo" else chance.randint(30, 600),
        "task_events": chance.random() < 0.5,
        "loglevel": chance.choice(["DEBUG", "INFO", "WARNING", "ERROR"]),
        "env": environment(chance),
        **(prefork if kind == "prefork" else {}),
    }


def environment(chance: random.Random) -> dict[str, Any]:
    numbers = [0, -1, 0.5, 10**6, 10**9, 2**53 - 1, 1.5e-7, 123456.789]
    values = [*numbers, True, False, None, "", name(chance, "a0$%(){}\"'\\ `~#:é🎉-", 12)]
    return {name(chance, "ABNOY_", 4).strip("_") or "A": chance.choice(values) for _ in range(4)}


def name(chance: random.Random, letters: str, most: int) -> str:
    """A name of these letters that neither begins nor ends with a sign."""
    text = "".join(chance.choices(letters, k=chance.randint(1, most)))
    return text.strip("_.:-") or "a"
