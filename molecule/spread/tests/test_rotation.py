"""A new CA takes over, and the old one ends, while tasks flow."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from resources.deployment import Deployment
from resources.greeting import is_refused
from resources.load import flow


@pytest.mark.long
def test_a_new_ca_takes_over(deployment: Deployment, tmp_path: Path) -> None:
    old = deployment.authority
    with flow(deployment):
        run = deployment.play("rotate_ca.yml")
        assert run.rc == 0, run.output
    assert deployment.authority.certificate != old.certificate
    assert is_refused(deployment, "broker", old.leaf("worker"))
    assert is_refused(deployment, "database", old.leaf("worker"))
    trusted = deployment.state / "pki" / "ca.crt"
    for server in deployment.servers.values():
        assert server.run("cat", "/etc/shop/pki/ca.crt") == trusted.read_text()
        for name in server.run("sh", "-c", "cd /etc/shop/pki && ls *.key").split():
            leaf = tmp_path / "leaf.crt"
            leaf.write_text(server.run("cat", f"/etc/shop/pki/{Path(name).stem}.crt"))
            subprocess.run(["openssl", "verify", "-CAfile", trusted, leaf], check=True, capture_output=True)
    assert not list(trusted.parent.glob("next.*")) + list(trusted.parent.glob("previous.*"))
    assert deployment.site().changed == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--limit", "all:!worker2"), "--limit: leaves out worker2, which would trust no other host any more. "),
        (("--tags", "worker"), "--tags: a CA changes for all components at once; run it without. "),
    ],
)
def test_a_ca_that_would_not_change_everywhere_is_refused(
    deployment: Deployment, arguments: tuple[str, str], words: str
) -> None:
    before = deployment.authority.certificate
    run = deployment.play("rotate_ca.yml", *arguments)
    assert run.rc != 0, run.output
    assert run.message.startswith(words)
    assert deployment.authority.certificate == before
    assert not (deployment.state / "pki" / "next.crt").exists()
