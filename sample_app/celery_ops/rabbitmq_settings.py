"""Celery's settings that RabbitMQ needs as broker."""

from __future__ import annotations

from ssl import CERT_REQUIRED
from typing import Any

from celery_ops import tls

SCHEMES = ("amqp", "amqps")
HEARTBEAT_SECONDS = 30


def use_ssl(files: tls.Files, host: str) -> dict[str, Any] | None:
    if not files.ca:
        return None
    # Without `server_hostname` no name is checked (amqp/transport.py, _wrap_socket_sni).
    options = {"cert_reqs": CERT_REQUIRED, "server_hostname": host, "ca_certs": files.ca}
    return {**options, "certfile": files.certificate, "keyfile": files.key} if files.certificate else options


def broker(files: tls.Files, host: str) -> dict[str, Any]:
    return {
        "CELERY_BROKER_USE_SSL": use_ssl(files, host),
        # celery_ops/rabbitmq_transport.py says how the confirms are used.
        "CELERY_BROKER_TRANSPORT_OPTIONS": {"confirm_publish": True},
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
