"""Celery's settings that RabbitMQ needs as broker."""

from __future__ import annotations

import random
from ssl import CERT_REQUIRED
from typing import Any

from django.core.exceptions import ImproperlyConfigured

from celery_ops import environment, tls

SCHEMES = ("amqp", "amqps")
HEARTBEAT_SECONDS = 30
CONNECT_SECONDS = 4


def use_ssl(files: tls.Files, host: str) -> dict[str, Any] | None:
    if not files.ca:
        return None
    # Without `server_hostname` no name is checked (amqp/transport.py, _wrap_socket_sni).
    options = {"cert_reqs": CERT_REQUIRED, "server_hostname": host, "ca_certs": files.ca}
    return {**options, "certfile": files.certificate, "keyfile": files.key} if files.certificate else options


def name_in_certificates(name: str, files: tls.Files, hosts: list[str]) -> str:
    """The name that the broker's certificate has to have. All connections share one, whichever node they are to
    (kombu/transport/pyamqp.py, establish_connection)."""
    variable = "CELERY_BROKER_HOSTNAME"
    stated = environment.text(variable)
    if files.ca and not stated and len(set(hosts)) > 1:
        raise ImproperlyConfigured(
            f"{variable}: missing, and {name} names several hosts; set it to the name that each one's certificate has"
        )
    return stated or hosts[0]


def failover(nodes: int) -> dict[str, Any]:
    """Every node is tried once by who opens a channel, which otherwise ends with the first that is silent
    (kombu/connection.py, _extract_failover_opts)."""
    return {} if nodes == 1 else {"max_retries": nodes - 1, "connect_retries_timeout": nodes * CONNECT_SECONDS}


def broker(name: str, value: str, files: tls.Files, hosts: list[str]) -> dict[str, Any]:
    return {
        # A process begins with the first, so this spreads connections over all nodes.
        name: ";".join(random.sample(value.split(";"), len(hosts))),
        "CELERY_BROKER_USE_SSL": use_ssl(files, name_in_certificates(name, files, hosts)),
        "CELERY_BROKER_CONNECTION_TIMEOUT": CONNECT_SECONDS,
        # celery_ops/rabbitmq_transport.py says how the confirms are used.
        "CELERY_BROKER_TRANSPORT_OPTIONS": {"confirm_publish": True, **failover(len(hosts))},
        # A half-open connection is noticed after two of these; Celery's own 120 s are long for a queue to stand still.
        "CELERY_BROKER_HEARTBEAT": HEARTBEAT_SECONDS,
        # Replicated and on disk before a publisher hears that the message is there.
        "CELERY_TASK_DEFAULT_QUEUE_TYPE": "quorum",
        "CELERY_TASK_CREATE_MISSING_QUEUE_TYPE": "quorum",
        # The broker delays a task with an ETA, in queues of its own, only behind topic exchanges; behind direct ones
        # it occupies one of the worker's slots until then (celery/app/base.py, send_task).
        "CELERY_TASK_DEFAULT_EXCHANGE_TYPE": "topic",
        "CELERY_TASK_CREATE_MISSING_QUEUE_EXCHANGE_TYPE": "topic",
        "CELERY_BROKER_NATIVE_DELAYED_DELIVERY_QUEUE_TYPE": "quorum",
        # Quorum queues know no other than the limit of each consumer (celery/worker/consumer/tasks.py, qos_global).
        "CELERY_WORKER_DETECT_QUORUM_QUEUES": True,
        # max_retries then ends the loop of a task whose process is killed each time (celery/worker/request.py,
        # _retry_worker_lost).
        "CELERY_TASK_RETRY_ON_WORKER_LOST": True,
    }
