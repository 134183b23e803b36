"""compose.yaml is what the description says, and keeps to what the docs promise of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import compose
import jsonschema
import pytest
import yaml
from ansible_collections.stalk.celery.plugins.module_utils.description.problems import Refused

SPECIFICATION = compose.ROOT / ".cache" / "schemas" / "compose-spec.json"
ON_RABBITMQ = "broker: {kind: rabbitmq}\npools: {default: {queues: [celery], pool: gevent, env: {PRICE: 5$}}}\n"


def of(text: str, folder: Path) -> dict[str, Any]:
    (folder / "stack.yml").write_text(text)
    project: dict[str, Any] = yaml.safe_load(compose.compose(["stack.yml"], folder))
    return project


@pytest.fixture
def project() -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load(compose.FILE.read_text())
    return read


def test_it_is_that_of_the_description() -> None:
    assert compose.FILE.read_text() == compose.compose(["stack.yml"]), "stale; run `make compose`"


def test_it_conforms_to_the_specification(project: dict[str, Any], tmp_path: Path) -> None:
    schema = json.loads(SPECIFICATION.read_text())
    for written in (project, of(ON_RABBITMQ, tmp_path)):
        jsonschema.Draft7Validator(schema).validate(written)
    project["services"]["web"]["port"] = 80
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft7Validator(schema).validate(project)


def test_nothing_but_web_and_flower_listens_outside_and_they_on_loopback(project: dict[str, Any]) -> None:
    ports = {name: service["ports"] for name, service in project["services"].items() if "ports" in service}
    assert ports.keys() == {"web", "flower"}
    assert all(port.startswith("127.0.0.1:") for (port,) in ports.values())
    assert project["networks"]["services"] == {"internal": True}
    assert {project["services"][name]["networks"] == ["services"] for name in ("redis", "postgresql")} == {True}


def test_each_container_is_confined_and_looked_after(project: dict[str, Any]) -> None:
    for name, service in project["services"].items():
        assert service["user"] in ("10001:10001", "999:999"), name
        assert service["read_only"], name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["deploy"]["resources"]["limits"].keys() == {"cpus", "memory"}, name
        if name != "migrations":
            assert service["healthcheck"]["test"], name
            assert service["stop_grace_period"], name


def test_a_worker_is_that_of_the_pool(project: dict[str, Any], tmp_path: Path) -> None:
    reports = project["services"]["worker-reports"]
    assert {"--queues=reports", "--concurrency=1", "--time-limit=3600"} <= set(reports["command"])
    assert reports["command"][2:5] == [str(3600 + 30 - 15), "QUIT", "120"]
    assert reports["stop_grace_period"] == f"{3600 + 30 + 15}s"
    worker = of(ON_RABBITMQ, tmp_path)["services"]["worker-default"]
    assert worker["command"][3] == "KILL"
    assert "--disable-prefetch" not in worker["command"]
    assert worker["environment"]["PRICE"] == "5$$"
    assert worker["environment"]["CELERY_RESULT_BACKEND"] == "django-db"


def test_no_secret_is_where_others_read_it(project: dict[str, Any]) -> None:
    assert {secret["file"].rpartition("/")[0] for secret in project["secrets"].values()} == {"./build/laptop/secrets"}
    for name, service in project["services"].items():
        assert not set(service.get("environment", ())) & set(project["secrets"]), name


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            "broker: {topology: sentinel}",
            "broker.topology: is sentinel, which a laptop does not have; name another file after this one, with "
            "`topology: single`",
        ),
        ("broker: {kind: external, external: rabbitmq}", "broker.kind: is external, .*`kind: rabbitmq`"),
        ("results: {kind: external}", "results.kind: is external, .*`kind: auto`"),
        ("database: {kind: external}", "database.kind: is external, .*`kind: embedded`"),
        ("flower: {auth: {kind: oauth, emails: a@example.org}}", "flower.auth.kind: is oauth, .*`kind: basic`"),
        (
            "pools: {default: {queues: [celery], time_limits: 5}}",
            r"pools.default.time_limits: unknown key; did you mean",
        ),
    ],
)
def test_what_cannot_run_on_a_laptop_is_refused(text: str, line: str, tmp_path: Path) -> None:
    with pytest.raises(Refused, match=line):
        of(text, tmp_path)
