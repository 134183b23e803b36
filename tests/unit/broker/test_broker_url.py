"""The address of a broker of the user's own."""

from __future__ import annotations

import pytest
from ansible_collections.stalk.celery.plugins.module_utils.broker_url import BrokerRefused, BrokerUrl, read_broker_url

NAME = "CELERY_BROKER_URL"
REDIS = "the secret CELERY_BROKER_URL is no address of a Redis; write it as rediss://USER:PASSWORD@HOST:6379/0"
RABBITMQ = "the secret CELERY_BROKER_URL is no address of a RabbitMQ; write it as amqps://USER:PASSWORD@HOST:5671/VHOST"


@pytest.mark.parametrize(
    ("url", "read"),
    [
        ("rediss://shop:a%2Fb@r.example.org:6380/3", BrokerUrl("redis", "r.example.org", 6380, "shop", "a/b", "3")),
        ("rediss://:sesame@r.example.org", BrokerUrl("redis", "r.example.org", 6379, "default", "sesame", "0")),
        ("rediss://[2001:db8::1]/", BrokerUrl("redis", "2001:db8::1", 6379, "", "", "0")),
        ("amqps://a:b@mq.example.org/shop", BrokerUrl("rabbitmq", "mq.example.org", 5671, "a", "b", "shop")),
        ("amqps://a:b@mq.example.org:5672", BrokerUrl("rabbitmq", "mq.example.org", 5672, "a", "b", "/")),
        ("amqps://a:b@mq.example.org/%2Fa", BrokerUrl("rabbitmq", "mq.example.org", 5671, "a", "b", "/a")),
    ],
)
def test_its_parts(url: str, read: BrokerUrl) -> None:
    assert read_broker_url(NAME, url, read.protocol) == read


def test_the_place_has_no_user() -> None:
    assert read_broker_url(NAME, "amqps://a:b@mq.example.org/shop", "rabbitmq").where == "mq.example.org:5671/shop"


@pytest.mark.parametrize(
    ("protocol", "url", "line"),
    [
        (
            "redis",
            "redis://u:sesame@h/0",
            "nothing keeps its connection from being in plain text; begin the secret CELERY_BROKER_URL with rediss://",
        ),
        (
            "rabbitmq",
            "amqp://u:sesame@h/shop",
            "nothing keeps its connection from being in plain text; begin the secret CELERY_BROKER_URL with amqps://",
        ),
        ("redis", "rediss://a:6379;rediss://b:6379", REDIS),
        ("redis", "rediss://h/shop", REDIS),
        ("redis", "https://h/0", REDIS),
        ("rabbitmq", "sesame", RABBITMQ),
        (
            "redis",
            "rediss://u:sesame@h/0?ssl_cert_reqs=none",
            "options at the end of the secret CELERY_BROKER_URL could switch the check of its certificate off; "
            "end it with the number of its database",
        ),
        (
            "rabbitmq",
            "amqps://u:sesame@h/shop?ssl=0",
            "options at the end of the secret CELERY_BROKER_URL could switch the check of its certificate off; "
            "end it with its virtual host",
        ),
        (
            "rabbitmq",
            "amqps://h/shop",
            "the secret CELERY_BROKER_URL has no user and password; write it as amqps://USER:PASSWORD@HOST:5671/VHOST",
        ),
        (
            "redis",
            "sqs://key:sesame@",
            "the secret CELERY_BROKER_URL names Amazon SQS, by which Celery keeps no results and takes no commands; "
            "use a Redis or a RabbitMQ, which Amazon has too (ElastiCache, Amazon MQ)",
        ),
    ],
)
def test_what_cannot_serve_is_told_without_the_password(protocol: str, url: str, line: str) -> None:
    with pytest.raises(BrokerRefused) as refused:
        read_broker_url(NAME, url, protocol)
    assert str(refused.value) == f"broker.kind: is external, and {line}"


def test_another_protocol_than_the_description_says_is_told() -> None:
    with pytest.raises(BrokerRefused) as refused:
        read_broker_url(NAME, "amqps://u:sesame@h/shop", "redis")
    assert str(refused.value) == (
        "broker.external: is redis, and the secret CELERY_BROKER_URL begins with amqps://; set it to rabbitmq, or "
        "write the secret as rediss://USER:PASSWORD@HOST:6379/0"
    )


def test_results_have_a_key_of_their_own() -> None:
    with pytest.raises(BrokerRefused, match=r"^results\.kind: is external, and the secret X is no address of a Redis"):
        read_broker_url("X", "amqps://u:sesame@h/shop", "redis", "results.kind")
