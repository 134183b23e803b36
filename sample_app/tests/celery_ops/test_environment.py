"""The contract with the platform: where values come from, and what is said when one is wrong."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from runpy import run_path
from ssl import CERT_REQUIRED
from typing import Any

import pytest
from celery import Celery
from django.core.exceptions import ImproperlyConfigured

from celery_ops import environment
from tests.processes import APP_FOLDER
from tests.services import Services


@pytest.fixture
def credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    return tmp_path


def test_a_secret_is_a_variable_or_else_a_file(credentials: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert environment.secret("A_SECRET") == ""
    assert environment.secret("A_SECRET", "default") == "default"
    (credentials / "A_SECRET").write_text("from the file\n")
    assert environment.secret("A_SECRET") == "from the file"
    monkeypatch.setenv("A_SECRET", "from the variable")
    assert environment.secret("A_SECRET") == "from the variable"


def test_a_secret_that_cannot_be_read_is_refused(credentials: Path) -> None:
    (credentials / "A_SECRET").write_bytes(b"\xff\xfe")
    with pytest.raises(ImproperlyConfigured, match=r"^A_SECRET: .*not UTF-8 text.*; make it a text file"):
        environment.secret("A_SECRET")
    (credentials / "FOLDER").mkdir()
    with pytest.raises(ImproperlyConfigured, match=r"^FOLDER: .*Is a directory"):
        environment.secret("FOLDER")


ROUTES_REMEDY = r'write an object .* such as \{"shop\.tasks\.\*": "high"\}$'

BAD_SETTINGS: dict[str, tuple[dict[str, str], str]] = {
    "no broker": ({"CELERY_BROKER_URL": ""}, r"CELERY_BROKER_URL: neither .*; set it to rediss://"),
    "another broker": ({"CELERY_BROKER_URL": "kafka://u:sesame@h/"}, r"CELERY_BROKER_URL: not a URL of the form redis"),
    "Amazon SQS": (
        {"CELERY_BROKER_URL": "sqs://u:sesame@"},
        r"CELERY_BROKER_URL: Amazon SQS keeps no results and takes no commands; set it to rediss://",
    ),
    "no host": ({"CELERY_BROKER_URL": "rediss:///0"}, r"CELERY_BROKER_URL: not a URL"),
    "raw password": ({"CELERY_BROKER_URL": "rediss://u:a[sesame@h:1/0"}, r"CELERY_BROKER_URL: not a URL.*percent"),
    "bad port": ({"CELERY_BROKER_URL": "rediss://u:sesame@h:port/0"}, r"CELERY_BROKER_URL: not a URL"),
    "no certificate authority": ({"CELERY_TLS_CA": ""}, r"CELERY_TLS_CA: missing; TLS needs CELERY_TLS_CA, mutual"),
    "no key": ({"CELERY_TLS_KEY": ""}, r"CELERY_TLS_KEY: missing"),
    "key that is not there": ({"CELERY_TLS_KEY": "/nowhere"}, r"CELERY_TLS_KEY: /nowhere cannot be read \(No such"),
    "TLS without files": (
        {"CELERY_TLS_CA": "", "CELERY_TLS_CERT": "", "CELERY_TLS_KEY": ""},
        r"CELERY_BROKER_URL: rediss:// verifies nothing without a CA; set CELERY_TLS_CA",
    ),
    "plain broker with TLS files": ({"CELERY_BROKER_URL": "redis://h/0"}, r"CELERY_BROKER_URL: redis:// is plain text"),
    "plain RabbitMQ with TLS files": (
        {"CELERY_BROKER_URL": "amqp://u:sesame@h/"},
        r"CELERY_BROKER_URL: amqp:// is plain text although CELERY_TLS_\* are set; write amqps://$",
    ),
    "RabbitMQ's TLS without files": (
        {"CELERY_BROKER_URL": "amqps://u:sesame@h/", "CELERY_TLS_CA": "", "CELERY_TLS_CERT": "", "CELERY_TLS_KEY": ""},
        r"CELERY_BROKER_URL: amqps:// verifies nothing without a CA; set CELERY_TLS_CA",
    ),
    "nodes of RabbitMQ without a name for all": (
        {"CELERY_BROKER_URL": "amqps://u:sesame@one/shop;amqps://u:sesame@other/shop"},
        r"CELERY_BROKER_HOSTNAME: missing, and CELERY_BROKER_URL names several hosts; set it to the name",
    ),
    "a plain node of RabbitMQ": (
        {"CELERY_BROKER_URL": "amqps://u:sesame@one/shop;amqp://u:sesame@other/shop", "CELERY_BROKER_HOSTNAME": "n"},
        r"CELERY_BROKER_URL: not a URL of the form amqps:",
    ),
    "a node of another kind": (
        {"CELERY_BROKER_URL": "amqps://u:sesame@one/shop;rediss://u:sesame@other/0"},
        r"CELERY_BROKER_URL: not a URL of the form amqps:",
    ),
    "Sentinels without files": (
        {
            "CELERY_BROKER_URL": "sentinel://u:sesame@h/0",
            "CELERY_TLS_CA": "",
            "CELERY_TLS_CERT": "",
            "CELERY_TLS_KEY": "",
        },
        r"CELERY_BROKER_URL: sentinel:// verifies nothing without a CA; set CELERY_TLS_CA",
    ),
    "Sentinels of no name": (
        {"CELERY_BROKER_URL": "sentinel://u:sesame@h/0", "CELERY_SENTINEL_MASTER": ""},
        r"CELERY_SENTINEL_MASTER: missing; set it to the name that the Sentinels monitor",
    ),
    "one Sentinel of another scheme": (
        {"CELERY_BROKER_URL": "sentinel://u:sesame@h/0;redis://u:sesame@other/0"},
        r"CELERY_BROKER_URL: not a URL of the form sentinel:",
    ),
    "results in RabbitMQ": (
        {"CELERY_RESULT_BACKEND": "amqps://h/0"},
        r"CELERY_RESULT_BACKEND: not a URL of the form redis.rediss.sentinel:",
    ),
    "plain results with TLS files": ({"CELERY_RESULT_BACKEND": "redis://h/0"}, r"CELERY_RESULT_BACKEND: redis:// is"),
    "other results": ({"CELERY_RESULT_BACKEND": "file:///tmp"}, r"CELERY_RESULT_BACKEND: not a URL"),
    "words for seconds": ({"CELERY_VISIBILITY_TIMEOUT": "1h"}, r"CELERY_VISIBILITY_TIMEOUT: '1h' is not a whole"),
    "no seconds": ({"CELERY_RESULT_EXPIRES": "0"}, r"CELERY_RESULT_EXPIRES: '0' .*1 or more"),
    "routes that are no JSON": ({"CELERY_TASK_ROUTES": "a=b"}, rf"CELERY_TASK_ROUTES: not JSON .*; {ROUTES_REMEDY}"),
    "routes that are a list": ({"CELERY_TASK_ROUTES": "[]"}, rf"CELERY_TASK_ROUTES: a JSON list; {ROUTES_REMEDY}"),
    "debug by a word": ({"DJANGO_DEBUG": "yes"}, r"DJANGO_DEBUG: 'yes' is neither 0 nor 1"),
    "another format of logs": ({"LOG_FORMAT": "xml"}, r"LOG_FORMAT: 'xml' is neither line nor json; set one of them"),
    "a log that cannot be written": (
        {"LOG_FILE": "/nowhere/shop.log"},
        r"LOG_FILE: /nowhere/shop.log cannot be written \(No such file or directory\); name a file that this process",
    ),
    "no key of Django": ({"DJANGO_SECRET_KEY": ""}, r"DJANGO_SECRET_KEY: neither"),
    "no database": ({"DATABASE_URL": ""}, r"DATABASE_URL: neither"),
    "another database": ({"DATABASE_URL": "oracle:sesame"}, r"DATABASE_URL: not a URL"),
}


def manage(services: Services, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        env={"PATH": os.environ["PATH"]} | services.environment,
        cwd=APP_FOLDER,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("case", BAD_SETTINGS)
def test_what_is_wrong_is_said_in_a_line(services: Services, monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    changes, message = BAD_SETTINGS[case]
    for name, value in (services.environment | changes).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ImproperlyConfigured) as refusal:
        evaluate_settings()
    text = str(refusal.value)
    assert re.match(message, text), text
    assert "\n" not in text
    assert "sesame" not in text


def evaluate_settings() -> dict[str, Any]:
    """The settings as this environment makes them, without touching those that the tests run with."""
    return run_path(str(APP_FOLDER / "celery_ops/settings.py")) | run_path(str(APP_FOLDER / "config/settings.py"))


def test_settings_of_development_need_no_tls(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CELERY_TLS_CA", "CELERY_TLS_CERT", "CELERY_TLS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("CELERY_BROKER_URL", "redis://localhost:6379/0")
    monkeypatch.setenv("CELERY_RESULT_BACKEND", "")
    settings = run_path(str(APP_FOLDER / "celery_ops/settings.py"))
    assert settings["CELERY_BROKER_USE_SSL"] is None
    assert settings["CELERY_TASK_IGNORE_RESULT"] is True


def give(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)


def test_results_of_another_server_have_a_ca_of_their_own(
    services: Services, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    give(services.environment, monkeypatch)
    (tmp_path / "results.crt").write_text("CA")
    monkeypatch.setenv("CELERY_RESULT_TLS_CA", str(tmp_path / "results.crt"))
    settings = run_path(str(APP_FOLDER / "celery_ops/settings.py"))
    assert settings["CELERY_REDIS_BACKEND_USE_SSL"] == {
        "ssl_cert_reqs": CERT_REQUIRED,
        "ssl_check_hostname": True,
        "ssl_ca_certs": str(tmp_path / "results.crt"),
    }
    assert settings["CELERY_BROKER_USE_SSL"]["ssl_ca_certs"] != str(tmp_path / "results.crt")


def test_a_broker_may_ask_for_no_certificate(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    give(services.environment, monkeypatch)
    monkeypatch.delenv("CELERY_TLS_CERT")
    monkeypatch.delenv("CELERY_TLS_KEY")
    settings = run_path(str(APP_FOLDER / "celery_ops/settings.py"))
    assert settings["CELERY_BROKER_USE_SSL"] == settings["CELERY_REDIS_BACKEND_USE_SSL"]
    assert settings["CELERY_BROKER_USE_SSL"] == {
        "ssl_cert_reqs": CERT_REQUIRED,
        "ssl_check_hostname": True,
        "ssl_ca_certs": services.environment["CELERY_TLS_CA"],
    }


OF_REDIS = re.compile("redis|visibility|prefix|disable_prefetch|priority_steps", re.IGNORECASE)
OF_RABBITMQ = re.compile("quorum|confirm|exchange|server_hostname")


def words_of(settings: dict[str, Any]) -> str:
    return " ".join(f"{name}={settings[name]!r}" for name in settings["__all__"] if name != "CELERY_RESULT_BACKEND")


@pytest.mark.parametrize("results", ["", "django-db"])
def test_rabbitmq_gets_no_setting_of_redis(services: Services, monkeypatch: pytest.MonkeyPatch, results: str) -> None:
    give(services.environment, monkeypatch)
    monkeypatch.setenv("CELERY_BROKER_URL", "amqps://u:p@broker.example.org/shop")
    monkeypatch.setenv("CELERY_RESULT_BACKEND", results)
    settings = run_path(str(APP_FOLDER / "celery_ops/settings.py"))
    assert not OF_REDIS.findall(words_of(settings))
    assert settings["CELERY_BROKER_USE_SSL"]["server_hostname"] == "broker.example.org"
    monkeypatch.setenv("CELERY_RESULT_BACKEND", services.redis.database_url(1))
    settings = run_path(str(APP_FOLDER / "celery_ops/settings.py"))
    assert settings["CELERY_REDIS_BACKEND_USE_SSL"]["ssl_ca_certs"] == settings["CELERY_BROKER_USE_SSL"]["ca_certs"]


def test_every_node_of_rabbitmq_is_tried_and_has_one_name(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    nodes = [f"amqps://u:p@node{number}.example.org/shop" for number in range(3)]
    give(services.environment, monkeypatch)
    monkeypatch.setenv("CELERY_BROKER_URL", ";".join(nodes))
    monkeypatch.setenv("CELERY_BROKER_HOSTNAME", "shop-rabbitmq")
    monkeypatch.setenv("CELERY_RESULT_BACKEND", "")
    settings = run_path(str(APP_FOLDER / "celery_ops/settings.py"))
    assert sorted(settings["CELERY_BROKER_URL"].split(";")) == nodes
    assert settings["CELERY_BROKER_USE_SSL"]["server_hostname"] == "shop-rabbitmq"
    assert settings["CELERY_BROKER_TRANSPORT_OPTIONS"]["max_retries"] == 2


def test_redis_gets_no_setting_of_rabbitmq(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    give(services.environment, monkeypatch)
    assert not OF_RABBITMQ.findall(words_of(run_path(str(APP_FOLDER / "celery_ops/settings.py"))))


def test_a_star_import_of_the_settings_brings_nothing_else() -> None:
    names: dict[str, Any] = {}
    exec("from celery_ops.settings import *", names)
    brought = [name for name in names if not name.startswith("__")]
    assert "CELERY_BROKER_URL" in brought
    assert all(name.startswith("CELERY_") for name in brought), brought


def test_deployment_check_is_clean(services: Services) -> None:
    done = manage(services, "check", "--deploy", "--fail-level=INFO")
    assert done.returncode == 0, done.stderr
    assert "no issues" in done.stdout + done.stderr


def test_models_and_migrations_agree(services: Services) -> None:
    done = manage(services, "makemigrations", "--check", "--dry-run")
    assert done.returncode == 0, done.stdout


def test_a_name_wins_over_globs_and_of_globs_the_first_that_matches(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CELERY_TASK_ROUTES", '{"shop.*": "glob", "*.pay": "another", "shop.pay": "name"}')
    app = Celery(set_as_current=False)
    app.conf.task_routes = run_path(str(APP_FOLDER / "celery_ops/settings.py"))["CELERY_TASK_ROUTES"]
    queues = {task: app.amqp.router.route({}, task)["queue"].name for task in ("shop.pay", "shop.send", "a.pay", "a")}
    assert queues == {"shop.pay": "name", "shop.send": "glob", "a.pay": "another", "a": "celery"}
