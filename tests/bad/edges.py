"""The last value that is refused and the first that is not: values, and the path of the refusal if there is one."""

from __future__ import annotations

from typing import Any


def oauth(emails: str) -> dict[str, Any]:
    return {"flower": {"auth": {"kind": "oauth", "secret": "flower-oauth", "emails": emails}}}


def consumed(queue: str, broker: str = "rabbitmq") -> dict[str, Any]:
    values = {"app": {"queues": [queue]}, "pools": {"default": {"queues": ["celery", queue]}}}
    return {**values, "broker": {"kind": broker}}


SECRETS = {
    "flower-oauth": "oauth2_key=key\noauth2_secret=secret\n",
    "CELERY_BROKER_URL": "amqps://user:password@rabbitmq.example.org:5671/shop",
    "CELERY_RESULT_BACKEND": "rediss://user:password@redis.example.org:6379/0",
}
EXTERNAL_RABBITMQ = {"kind": "external", "external": "rabbitmq"}
EDGES: tuple[tuple[dict[str, Any], str | None], ...] = (
    ({"pools": {"default": {"grace": 1829}}}, "pools.default.grace"),
    ({"pools": {"default": {"grace": 1830}}}, None),
    ({"pools": {"default": {"soft_time_limit": 1800}}}, "pools.default.soft_time_limit"),
    ({"pools": {"default": {"soft_time_limit": 1799}}}, None),
    ({"pools": {"default": {"pool": "gevent", "soft_time_limit": 1800}}}, None),
    ({"broker": {"visibility_timeout": 3629}}, "broker.visibility_timeout"),
    ({"broker": {"visibility_timeout": 3630}}, None),
    ({"app": {"longest_eta": 1}, "broker": {"visibility_timeout": 3630}}, "broker.visibility_timeout"),
    ({"pools": {"default": {"pool": "solo", "heartbeat_max_age": 1829}}}, "pools.default.heartbeat_max_age"),
    ({"pools": {"default": {"pool": "solo", "heartbeat_max_age": 1830}}}, None),
    ({"tls": {"lifetime": "30d", "rotate_before": 30 * 86400}}, "tls.rotate_before"),
    ({"tls": {"lifetime": "30d", "rotate_before": 30 * 86400 - 1}}, None),
    ({"broker": {"maxmemory": "16383kb"}}, "broker.maxmemory"),
    ({"broker": {"maxmemory": "16mb"}}, None),
    ({"broker": {"maxmemory": 0}}, None),
    ({"broker": {"kind": "valkey", "maxmemory": "16383kb"}}, "broker.maxmemory"),
    ({"broker": {"kind": "valkey", "maxmemory": "16mb"}}, None),
    ({"broker": {"kind": "rabbitmq", "maxmemory": "255mb"}}, "broker.maxmemory"),
    ({"broker": {"kind": "rabbitmq", "maxmemory": "256mb"}}, None),
    ({"broker": {"kind": "rabbitmq", "maxmemory": 0}}, None),
    ({"broker": {"kind": "rabbitmq", "consumer_timeout": 3629}}, "broker.consumer_timeout"),
    ({"broker": {"kind": "rabbitmq", "consumer_timeout": 3630}}, None),
    ({"app": {"longest_eta": 86400}, "broker": {"kind": "rabbitmq", "consumer_timeout": 3630}}, None),
    ({"broker": {"kind": "rabbitmq"}, "results": {"kind": "redis"}}, "results.kind"),
    ({"broker": {"kind": "rabbitmq"}, "results": {"kind": "auto"}}, None),
    ({"broker": {"kind": "valkey"}, "results": {"kind": "redis"}}, None),
    ({"broker": {"kind": "rabbitmq", "port": 15671}}, "broker.port"),
    ({"broker": {"kind": "rabbitmq", "management_port": 5671}}, "broker.port"),
    ({"broker": {"kind": "rabbitmq", "port": 25669}}, None),
    ({"broker": {"kind": "rabbitmq", "port": 25670}}, "broker.port"),
    ({"broker": {"kind": "rabbitmq", "port": 25671}}, "broker.port"),
    ({"broker": {"kind": "rabbitmq", "port": 25672}}, None),
    ({"broker": {"port": 15671}}, None),
    (consumed("amq.gen"), "pools.default.queues[1]"),
    (consumed("amqp"), None),
    (consumed("celery_delayed_12"), "pools.default.queues[1]"),
    (consumed("celery_delayed_x"), None),
    (consumed("celeryev"), "pools.default.queues[1]"),
    (consumed("celeryevents"), None),
    (consumed("celery.pidbox"), "pools.default.queues[1]"),
    (consumed("mycelery.pidbox"), None),
    (consumed("amq.gen", "redis"), None),
    ({**consumed("amq.gen"), "broker": EXTERNAL_RABBITMQ}, "pools.default.queues[1]"),
    ({"broker": EXTERNAL_RABBITMQ, "results": {"kind": "redis"}}, "results.kind"),
    ({"broker": EXTERNAL_RABBITMQ, "results": {"kind": "external"}}, None),
    ({"broker": {"kind": "rabbitmq"}, "results": {"kind": "external"}}, None),
    ({"broker": EXTERNAL_RABBITMQ, "pools": {"default": {"scale": {"max": 2}}}}, "broker.management_url"),
    ({"broker": EXTERNAL_RABBITMQ, "pools": {"default": {"scale": {"max": 2, "provider": "hpa"}}}}, None),
    (
        {
            "broker": {**EXTERNAL_RABBITMQ, "management_url": "https://rabbitmq.example.org"},
            "pools": {"default": {"scale": {"max": 2}}},
        },
        None,
    ),
    ({"broker": {**EXTERNAL_RABBITMQ, "management_url": "https://rabbitmq.example.org/api"}}, "broker.management_url"),
    ({"broker": {"external": "rabbitmq"}}, "broker.kind"),
    (consumed("amq.gen", "valkey"), None),
    ({"pools": {"default": {"scale": {"min": 3, "max": 2}}}}, "pools.default.scale.min"),
    ({"pools": {"default": {"scale": {"min": 2, "max": 2}}}}, None),
    ({"pools": {"default": {"scale": {"min": 3}}}}, None),
    ({"pool_defaults": {"scale": {"min": 3, "max": 2}}}, "pool_defaults.scale.min"),
    ({"pools": {"default": {"scale": {"min": 0, "max": 2, "provider": "hpa"}}}}, "pools.default.scale.min"),
    ({"pools": {"default": {"scale": {"min": 0, "max": 2}}}}, None),
    (
        {"pools": {"default": {"scale": {"max": 2}, "kubernetes": {"replicas": 1}}}},
        "pools.default.kubernetes.replicas",
    ),
    ({"pools": {"default": {"kubernetes": {"replicas": 2}}}}, None),
    (
        {"pool_defaults": {"scale": {"max": 2}, "kubernetes": {"replicas": 2}}},
        "pool_defaults.kubernetes.replicas",
    ),
    (
        {
            "pool_defaults": {"scale": {"max": 2}, "kubernetes": {"replicas": 2}},
            "pools": {"default": {"scale": {"max": None}}},
        },
        None,
    ),
    ({"pool_defaults": {"grace": 100}, "pools": {"default": {"grace": None}}}, None),
    ({"tls": {"lifetime": "5w", "rotate_before": "34d"}}, None),
    ({"tls": {"lifetime": "9999d"}}, None),
    ({"tls": {"lifetime": "10000d"}}, "tls.lifetime"),
    ({"broker": {"maxmemory": "16384KB"}}, None),
    ({"broker": {"maxmemory": "999999999999gb"}}, None),
    ({"broker": {"maxmemory": 16777215}}, "broker.maxmemory"),
    (oauth("a@b.example|c@d.example.org"), None),
    (oauth("a@b.example|c"), "flower.auth.emails"),
    (oauth(".*@example.org"), None),
    (oauth(".*@example.org|a@b.example"), "flower.auth.emails"),
    ({"app": {"env": {"API_KEY": 12345, "PUBLIC_KEY": "abc", "DEBUG_TOKEN": "no"}}}, None),
    ({"app": {"env": {"API_KEY": "a12345"}}}, "app.env.API_KEY"),
)
