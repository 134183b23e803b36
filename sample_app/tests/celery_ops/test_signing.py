"""Messages that are signed, where files for it are given."""

from __future__ import annotations

import datetime
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from tests.celery_ops.tasks import effect
from tests.conftest import worker_arguments
from tests.gate import Gate
from tests.processes import APP_FOLDER, Process
from tests.services import Services
from tests.waiting import until

PUBLISH = """
import json, sys, django; django.setup()
from celery import chord
from celery_ops.queued import at_broker
from config.celery import app
from tests.celery_ops.tasks import effect, tells
path = sys.argv[1]
outcome = effect.delay_on_commit(path, "signed")
told = chord([effect.s(path, "a"), effect.s(path, "b")])(tells.s(path=path, text="body"))
print(told.get(timeout=60), app.AsyncResult(outcome).get(timeout=60), app.control.ping(timeout=5))
"""
QUEUED = """
import django; django.setup()
from celery_ops.queued import at_broker
from config.celery import app
app.send_task("shop.tasks.sleep", (7,))
(queued,) = at_broker(app, ["celery"]).queued.values()
print(queued.task, queued.args)
"""


def self_signed(folder: Path, name: str, days: int = 1) -> tuple[Path, Path]:
    """Paths of a key and its certificate; the latter ended yesterday when `days` is -1."""
    key = rsa.generate_private_key(65537, 2048)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=9))
        .not_valid_after(now + datetime.timedelta(days=days))
        .sign(key, hashes.SHA256())
    )
    paths = folder / f"{name}.key", folder / f"{name}.crt"
    form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    paths[0].write_bytes(key.private_bytes(*form))
    paths[1].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return paths


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    store = tmp_path / "store"
    store.mkdir()
    key, certificate = self_signed(tmp_path, "app")
    shutil.copy(certificate, store)
    return {
        "CELERY_SECURITY_KEY": str(key),
        "CELERY_SECURITY_CERTIFICATE": str(certificate),
        "CELERY_SECURITY_CERT_STORE": str(store),
    }


def run(environment: dict[str, str], code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=APP_FOLDER,
        env={"PATH": os.environ["PATH"]} | environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.django_db(transaction=True)
def test_signed_tasks_run_with_chord_result_and_command_and_others_do_not(
    environment: dict[str, str], gate: Gate, files: dict[str, str], start_celery: Callable[..., Process]
) -> None:
    worker = start_celery("worker", *worker_arguments(), **files)
    worker.until_consuming()
    gate.open()
    effect.delay(str(gate.path), "unsigned")
    done = run(environment | files, PUBLISH, str(gate.path))
    assert done.stdout == "body signed [{'worker@localhost': {'ok': 'pong'}}]\n", done.stderr + worker.log
    assert "unsigned" not in gate.effects
    assert "Refusing to deserialize untrusted content of type json" in worker.log
    assert worker.is_running


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("empty_broker")
def test_a_signed_message_that_waits_can_be_looked_at(environment: dict[str, str], files: dict[str, str]) -> None:
    done = run(environment | files, QUEUED)
    assert done.stdout == "shop.tasks.sleep [7]\n", done.stderr


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("empty_broker")
def test_what_another_key_signed_is_not_taken(
    environment: dict[str, str], gate: Gate, files: dict[str, str], start_celery: Callable[..., Process], tmp_path: Path
) -> None:
    worker = start_celery("worker", *worker_arguments(), **files)
    worker.until_consuming()
    gate.open()
    (tmp_path / "other").mkdir()
    key, certificate = self_signed(tmp_path, "other")
    shutil.copy(certificate, tmp_path / "other")
    others = {"KEY": key, "CERTIFICATE": certificate, "CERT_STORE": tmp_path / "other"}
    variables = {f"CELERY_SECURITY_{name}": str(value) for name, value in others.items()}
    send = "import sys, config; config.celery_app.send_task(sys.argv[1], (sys.argv[2], 'forged'))"
    sent = run(environment | variables, send, effect.name, str(gate.path))
    assert sent.returncode == 0, sent.stderr
    until(lambda: "Unknown certificate" in worker.log)
    assert not gate.effects


def refusal(services: Services, files: dict[str, str]) -> str:
    done = run(services.environment | files, "import config.settings")
    assert done.returncode == 1
    return done.stderr.splitlines()[-1].partition("ImproperlyConfigured: ")[2]


def test_the_key_may_be_a_credential(services: Services, files: dict[str, str], tmp_path: Path) -> None:
    shutil.copy(files.pop("CELERY_SECURITY_KEY"), tmp_path / "CELERY_SECURITY_KEY")
    code = "import config.settings as s; print(s.CELERY_SECURITY_KEY, s.CELERY_TASK_SERIALIZER)"
    done = run(services.environment | files | {"CREDENTIALS_DIRECTORY": str(tmp_path)}, code)
    assert done.stdout == f"{tmp_path}/CELERY_SECURITY_KEY auth\n", done.stderr


@pytest.mark.parametrize("name", ["CELERY_SECURITY_KEY", "CELERY_SECURITY_CERTIFICATE", "CELERY_SECURITY_CERT_STORE"])
def test_a_half_set_signature_is_refused(services: Services, files: dict[str, str], name: str) -> None:
    del files[name]
    assert refusal(services, files).startswith(f"{name}: missing; signed messages need all of CELERY_SECURITY_KEY, ")


def test_files_that_do_not_fit_are_refused(services: Services, files: dict[str, str], tmp_path: Path) -> None:
    other_key, other_certificate = self_signed(tmp_path, "other")
    _, expired = self_signed(tmp_path, "expired", days=-1)
    cases = {
        "CELERY_SECURITY_KEY": (files["CELERY_SECURITY_CERTIFICATE"], "cannot be used"),
        "CELERY_SECURITY_CERTIFICATE": (str(other_certificate), "is of another key, or not in"),
        "CELERY_SECURITY_CERT_STORE": (str(expired), "cannot be used"),
    }
    for name, (value, reason) in cases.items():
        said = refusal(services, files | {name: value})
        assert said.startswith(f"{name}: {value} {reason}"), said
    assert "is of another key" in refusal(services, files | {"CELERY_SECURITY_KEY": str(other_key)})


def test_without_cryptography_files_are_refused(services: Services, files: dict[str, str]) -> None:
    code = "import sys; sys.modules['cryptography'] = None; import config.settings"
    done = run(services.environment | files, code)
    assert "signed messages need the package cryptography" in done.stderr.splitlines()[-1]
