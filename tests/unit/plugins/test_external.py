"""What a host asks a broker of somebody else, how a process finds its files, and what the memory keeps of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.stalk.celery.plugins.module_utils.description.placement import placement_problems
from ansible_collections.stalk.celery.plugins.module_utils.description.surroundings import Surroundings
from ansible_collections.stalk.celery.plugins.module_utils.external import (
    external_figures,
    external_parts,
    external_problems,
    external_question,
)
from ansible_collections.stalk.celery.plugins.module_utils.memory import EXTERNAL, Memory, keep
from ansible_collections.stalk.celery.plugins.module_utils.tls_files import tls_variables


def stack(folder: Path, **results: Any) -> dict[str, Any]:
    (folder / "ca.pem").write_text("CA")
    return {
        "app": {"name": "shop"},
        "broker": {
            "kind": "external",
            "protocol": "rabbitmq",
            "servers": {"ca": str(folder / "ca.pem"), "certificate": "", "key": ""},
        },
        "results": {"kind": "auto", "servers": {"ca": ""}, **results},
        "servers": {"extra_ca": ""},
        "pools": {"default": {"queues": ["celery"]}, "high": {"queues": ["high", "celery"]}},
    }


def test_it_is_asked_for_every_queue_with_its_files(tmp_path: Path) -> None:
    asked = external_question(stack(tmp_path), "broker", "amqps://u:p@h/shop", ["old"])
    assert asked["queues"] == ["celery", "high"]
    assert asked["counted"] == ["old"]
    assert asked["ca"] == "CA"
    assert asked["protocol"] == "rabbitmq"
    assert asked["keys"] == {"ca": "broker.servers.ca", "certificate": "broker.servers.certificate"}


def test_a_store_of_results_is_asked_for_no_queue(tmp_path: Path) -> None:
    described = stack(tmp_path, kind="external")
    assert external_parts(described) == ["broker", "results"]
    asked = external_question(described, "results", "rediss://h/0", ["old"])
    assert (asked["protocol"], asked["queues"], asked["counted"], asked["ca"]) == ("redis", [], [], "")


def test_what_stands_against_it_names_who_saw_it() -> None:
    answer = {"problems": ["it is away; start it"]}
    assert list(external_problems("one", "broker", answer)) == [
        "broker.kind: is external, and it is away; start it (seen from one)"
    ]
    assert external_figures(answer) == {"error": "it is away; start it"}
    told = {"problems": [], "waiting": {"old": 2}, "delayed": 1}
    assert external_figures(told) == {"queues": {"old": 2}, "delayed": 1}


def test_a_process_finds_its_files_among_its_credentials() -> None:
    assert tls_variables(["DATABASE_URL"], "%d") == {
        "CELERY_TLS_KEY": "%d/CELERY_TLS_KEY",
        "PGSSLKEY": "%d/CELERY_TLS_KEY",
    }
    assert tls_variables(["broker.ca", "broker.crt", "broker.key", "results.ca"], "%d") == {
        "CELERY_TLS_CA": "%d/broker.ca",
        "CELERY_TLS_CERT": "%d/broker.crt",
        "CELERY_TLS_KEY": "%d/broker.key",
        "CELERY_RESULT_TLS_CA": "%d/results.ca",
        "PGSSLKEY": "%d/CELERY_TLS_KEY",
    }


@pytest.mark.parametrize(
    ("kind", "url", "line"),
    [
        ("external", "rediss://other:p@redis.example.org/0", ""),
        (
            "external",
            "rediss://u:p@redis.example.org/1",
            "broker.kind: is external, and the secret CELERY_BROKER_URL names redis.example.org:6379/1 where "
            "redis.example.org:6379/0 has this stack's messages; stop what sends, let its queues drain, then remove "
            "the line `external` from FILE",
        ),
        (
            "redis",
            "",
            "broker.kind: is redis, and the external broker at redis.example.org:6379/0 has this stack's messages; "
            "stop what sends, let its queues drain, then remove the line `external` from FILE",
        ),
    ],
)
def test_another_address_is_not_begun_while_the_first_may_have_messages(
    tmp_path: Path, kind: str, url: str, line: str
) -> None:
    keep(tmp_path, "shop", Memory(hosts={EXTERNAL: ("redis.example.org:6379/0",)}))
    values = {
        "app": {"name": "shop"},
        "broker": {"kind": kind, "external": "redis"},
        "database": {"kind": "external"},
    }
    secrets = {"CELERY_BROKER_URL": url} if url else {}
    found = [problem.text for problem in placement_problems(values, Surroundings({}, secrets, state=tmp_path))]
    assert found == ([line.replace("FILE", str(tmp_path / "deployed-shop.yml"))] if line else [])
