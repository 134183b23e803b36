"""The same module with the deployed broker's mutual TLS and key prefix, all else by Celery's defaults."""

import os
import ssl
from pathlib import Path

from celery import Celery


def credential(name: str) -> str:
    return Path(os.environ["CREDENTIALS_DIRECTORY"], name).read_text().strip()


app = Celery("tasks", broker=credential("CELERY_BROKER_URL"), backend=credential("CELERY_RESULT_BACKEND"))
mutual_tls = {
    "ssl_cert_reqs": ssl.CERT_REQUIRED,
    "ssl_ca_certs": os.environ["CELERY_TLS_CA"],
    "ssl_certfile": os.environ["CELERY_TLS_CERT"],
    "ssl_keyfile": os.environ["CELERY_TLS_KEY"],
}
prefix = {"global_keyprefix": os.environ["CELERY_KEY_PREFIX"]}
app.conf.update(
    broker_use_ssl=mutual_tls,
    redis_backend_use_ssl=mutual_tls,
    broker_transport_options=prefix,
    result_backend_transport_options=prefix,
    task_default_queue="first-steps",
)


@app.task(name="tasks.noop")
def noop() -> None:
    """Does nothing."""
