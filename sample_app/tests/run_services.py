"""Runs the services of the tests until its standard input ends. First it prints the environment of a process that uses
them, as JSON; with the argument `rabbitmq` RabbitMQ is the broker."""

from __future__ import annotations

import json
import signal
import sys

from tests.services import Services


def main() -> None:
    # Ctrl-C is for who reads the environment: it ends its processes first.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    services = Services()
    try:
        services.start()
        broker = services.broker(sys.argv[1])
        print(json.dumps(services.environment | {"CELERY_BROKER_URL": broker.url}), flush=True)
        sys.stdin.read()
    finally:
        services.stop()


if __name__ == "__main__":
    main()
