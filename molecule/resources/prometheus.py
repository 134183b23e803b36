"""A Prometheus beside RabbitMQ, which evaluates docs/rabbitmq_alerts.yml."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from resources.deployment import Deployment, Server
from resources.rabbitmq import PORT_OF_METRICS, page, tls_of
from resources.waiting import wait_for

PORT = 9090
UNIT = "prometheus-of-the-test.service"
OWN_UNIT = "prometheus.service"
QUIET = "DEBIAN_FRONTEND=noninteractive"
RULES_TEST = Path(__file__).with_name("alerts") / "rabbitmq_alerts_test.yml"
FOLDER = "/run/prometheus-of-the-test"


@contextmanager
def prometheus(deployment: Deployment) -> Iterator[Callable[[], set[str]]]:
    """Gives what tells the names of the alerts that fire, or are about to."""
    server = deployment.first("rabbitmq")

    def told(path: str) -> dict[str, Any]:
        answer = page(deployment, PORT, path)
        return json.loads(answer["body"])["data"] if answer["status"] == 200 else {}

    def raised() -> set[str]:
        return {alert["labels"]["alertname"] for alert in told("/api/v1/alerts").get("alerts", ())}

    def every_node_tells() -> bool:
        targets = told("/api/v1/targets").get("activeTargets", ())
        return len(targets) == 2 * len(deployment.on("rabbitmq")) and all(each["health"] == "up" for each in targets)

    try:
        install(deployment, server)
        server.run("promtool", "test", "rules", f"{FOLDER}/{RULES_TEST.name}")
        options = (f"--config.file={FOLDER}/prometheus.yml", f"--storage.tsdb.path={FOLDER}/data")
        listening = f"--web.listen-address=127.0.0.1:{PORT}"
        server.run("systemd-run", "--collect", f"--unit={UNIT}", "prometheus", *options, listening)
        wait_for("every node tells its figures", every_node_tells)
        yield raised
    finally:
        server.attempt("systemctl", "stop", UNIT)
        server.run("rm", "-rf", FOLDER)
        server.run("env", QUIET, "apt-get", "purge", "--quiet", "--yes", "prometheus")
        server.run("systemctl", "unmask", OWN_UNIT)


def install(deployment: Deployment, server: Server) -> None:
    """Without the unit of the package."""
    server.run("systemctl", "mask", OWN_UNIT)
    server.run("env", QUIET, "apt-get", "install", "--quiet", "--yes", "--no-install-recommends", "prometheus")
    files = {
        "rules.yml": (deployment.root / "docs" / "rabbitmq_alerts.yml").read_text(),
        "prometheus.yml": yaml.safe_dump(configuration(deployment)),
        RULES_TEST.name: RULES_TEST.read_text(),
    }
    for name, content in files.items():
        server.run("install", "-D", "/dev/stdin", f"{FOLDER}/{name}", stdin=content)


def configuration(deployment: Deployment) -> dict[str, object]:
    """As an operator of one would write it, but for how often it looks."""
    tls, seen_from = tls_of(deployment), deployment.first("rabbitmq")
    nodes = [deployment.address_of(server, seen_from) for server in deployment.on("rabbitmq")]
    common = {
        "scheme": "https",
        "tls_config": {"ca_file": tls["ca"], "cert_file": tls["certificate"], "key_file": tls["key"]},
        "static_configs": [{"targets": [f"{node}:{PORT_OF_METRICS}" for node in nodes]}],
    }
    queues = {"metrics_path": "/metrics/detailed", "params": {"family": ["queue_coarse_metrics"]}}
    return {
        "global": {"scrape_interval": "5s", "evaluation_interval": "1s"},
        "rule_files": ["rules.yml"],
        "scrape_configs": [{"job_name": "nodes", **common}, {"job_name": "queues", **queues, **common}],
    }
