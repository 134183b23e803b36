"""A Prometheus beside RabbitMQ, which evaluates docs/rabbitmq_alerts.yml."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import yaml
from resources.deployment import Deployment
from resources.rabbitmq import page, tls_of

PORT = 9090
UNIT = "prometheus-of-the-test.service"
OWN_UNITS = ("prometheus.service", "prometheus-node-exporter.service")
FOLDER = "/run/prometheus-of-the-test"
EXPORTERS_PORT = 15691


@contextmanager
def prometheus(deployment: Deployment) -> Iterator[Callable[[], set[str]]]:
    """Gives what tells the names of the alerts that fire, or are about to."""
    server = deployment.first("rabbitmq")
    server.run("systemctl", "mask", *OWN_UNITS)
    install = ("apt-get", "install", "--quiet", "--yes", "--no-install-recommends", "prometheus")
    server.run("env", "DEBIAN_FRONTEND=noninteractive", *install)
    rules = (deployment.root / "docs" / "rabbitmq_alerts.yml").read_text()
    server.run("install", "-D", "/dev/stdin", f"{FOLDER}/rules.yml", stdin=rules)
    server.run("install", "/dev/stdin", f"{FOLDER}/prometheus.yml", stdin=yaml.safe_dump(configuration(deployment)))
    options = (f"--config.file={FOLDER}/prometheus.yml", f"--storage.tsdb.path={FOLDER}/data")
    listening = f"--web.listen-address=127.0.0.1:{PORT}"
    server.run("systemd-run", "--collect", f"--unit={UNIT}", "prometheus", *options, listening)

    def raised() -> set[str]:
        answer = page(deployment, PORT, "/api/v1/alerts")
        if answer["status"] != 200:
            return set()
        alerts = json.loads(answer["body"])["data"]["alerts"]
        return {alert["labels"]["alertname"] for alert in alerts}

    try:
        yield raised
    finally:
        server.run("systemctl", "stop", UNIT)
        server.run("rm", "-r", FOLDER)
        server.run("env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "purge", "--quiet", "--yes", "prometheus")
        server.run("systemctl", "unmask", *OWN_UNITS)


def configuration(deployment: Deployment) -> dict[str, object]:
    """As an operator of one would write it, but for how often it looks."""
    tls, seen_from = tls_of(deployment), deployment.first("rabbitmq")
    nodes = [deployment.address_of(server, seen_from) for server in deployment.on("rabbitmq")]
    common = {
        "scheme": "https",
        "tls_config": {"ca_file": tls["ca"], "cert_file": tls["certificate"], "key_file": tls["key"]},
        "static_configs": [{"targets": [f"{node}:{EXPORTERS_PORT}" for node in nodes]}],
    }
    queues = {"metrics_path": "/metrics/detailed", "params": {"family": ["queue_coarse_metrics"]}}
    return {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": ["rules.yml"],
        "scrape_configs": [{"job_name": "nodes", **common}, {"job_name": "queues", **queues, **common}],
    }
