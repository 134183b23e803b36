"""What an operator gets wrong on a running system: one clear line, and the system goes on as before."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from resources.certificates import Authority
from resources.deployment import Deployment, Run

HOST = "shop.localhost"


@pytest.fixture(autouse=True)
def _untouched(deployment: Deployment) -> Iterator[None]:
    """Nothing was restarted, and the shop answers."""
    server = deployment.first("web")
    patterns = (f"{deployment.app}-*.service", "nginx.service", "postgresql@*.service")
    before = server.invocations(*patterns)
    yield
    assert server.invocations(*patterns) == before
    shop = deployment.shop()
    assert shop.session.get(f"{shop.root}/readyz", timeout=30).status_code == 200


def assert_refused(run: Run, *reasons: str, lines: int = 1) -> None:
    assert run.rc != 0, run.output
    assert "Traceback" not in run.output
    for reason in reasons:
        assert reason in run.message, run.output
    assert len(run.message.splitlines()) == lines, run.message


def provided(certificate: Path, key: Path) -> dict[str, Any]:
    return {"tls": {"issuer": "provided", "servers": {"ca": {"certificate": str(certificate), "key": str(key)}}}}


def site_certificate(certificate: Path, key: Path) -> dict[str, Any]:
    return {"web": {"servers": {"certificate": str(certificate), "key": str(key)}}}


def test_a_ca_that_is_not_there_is_refused(deployment: Deployment, tmp_path: Path) -> None:
    run = deployment.site(changes=provided(tmp_path / "no.crt", tmp_path / "no.key"))
    assert_refused(run, "tls.servers.ca.certificate: ", "no.crt does not exist", "no.key does not exist", lines=2)


def test_an_expired_ca_is_refused(deployment: Deployment, tmp_path: Path) -> None:
    certificate, key = Authority.new("Old CA", ends_in=-timedelta(days=1)).pair.write(tmp_path, "old")
    assert_refused(deployment.site(changes=provided(certificate, key)), str(certificate), "is valid from")


def test_a_ca_whose_key_does_not_match_is_refused(deployment: Deployment, tmp_path: Path) -> None:
    certificate, _ = Authority.new("One CA").pair.write(tmp_path, "one")
    _, key = Authority.new("Other CA").pair.write(tmp_path, "other")
    assert_refused(deployment.site(changes=provided(certificate, key)), str(key), "is not the key of")


def test_a_leaf_in_place_of_the_ca_is_refused(deployment: Deployment, tmp_path: Path) -> None:
    certificate, key = Authority.new("Some CA").leaf("leaf").write(tmp_path, "leaf")
    assert_refused(deployment.site(changes=provided(certificate, key)), str(certificate), "may not sign")


def test_an_expired_certificate_of_the_site_is_refused(deployment: Deployment, tmp_path: Path) -> None:
    expired = Authority.new("Public CA").leaf(HOST, ends_in=-timedelta(days=1))
    run = deployment.site(changes=site_certificate(*expired.write(tmp_path, "expired")))
    assert_refused(run, str(tmp_path / "expired.crt"))


def test_a_key_of_another_certificate_of_the_site_is_refused(deployment: Deployment, tmp_path: Path) -> None:
    authority = Authority.new("Public CA")
    certificate, _ = authority.leaf(HOST).write(tmp_path, "one")
    _, key = authority.leaf(HOST).write(tmp_path, "other")
    assert_refused(deployment.site(changes=site_certificate(certificate, key)), str(key))


def test_a_certificate_of_another_site_is_refused(deployment: Deployment, tmp_path: Path) -> None:
    other = Authority.new("Public CA").leaf("elsewhere.example")
    run = deployment.site(changes=site_certificate(*other.write(tmp_path, "other")))
    assert_refused(run, str(tmp_path / "other.crt"), HOST)


@pytest.fixture
def full_disk(deployment: Deployment) -> Iterator[str]:
    """Little space is left where releases are built."""
    server, folder = deployment.first("web"), f"/srv/{deployment.app}/releases"
    server.run("mount", "-t", "tmpfs", "-o", "size=4m,mode=755", "tmpfs", folder)
    yield folder
    server.run("umount", folder)


def test_a_full_disk_stops_a_release_before_it_becomes_current(deployment: Deployment, full_disk: str) -> None:
    server = deployment.first("web")
    current = server.run("readlink", f"/srv/{deployment.app}/current")
    run = deployment.site(changes={"app": {"servers": {"version": "too-large"}}})
    assert run.rc != 0, run.output
    assert "Traceback" not in run.output
    assert "No space left on device" in run.message or "space" in run.message, run.output
    assert server.run("readlink", f"/srv/{deployment.app}/current") == current
    assert "too-large" not in server.run("ls", full_disk).split()


def test_after_all_refusals_the_next_run_has_nothing_to_change(deployment: Deployment) -> None:
    assert deployment.converge().changed == 0
