"""Where secrets are not: in arguments, environments, units, logs and files that others may read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from resources.deployment import Deployment

SEARCH = Path(__file__).parents[2] / "search.py"
FOLDERS = ["/etc", "/srv", "/var/lib", "/var/log", "/usr/local", "/run", "/tmp", "/home", "/root"]

Findings = dict[str, dict[str, Any]]


def texts_of(deployment: Deployment) -> dict[str, str]:
    """Every secret of the stack, of Flower's users the passwords, and a line of each private key."""
    files = (deployment.state / "secrets").iterdir()
    secrets = {file.name: file.read_text().strip() for file in files if not file.name.startswith(".")}
    secrets["flower-users"] = secrets["flower-users"].partition(":")[2]
    assert all(len(text) >= 20 for text in secrets.values())
    for server in deployment.servers.values():
        # A host of no group has none.
        for key in server.attempt("sh", "-c", f"ls /etc/{deployment.app}/pki/*.key").stdout.split():
            secrets[f"{server} {key}"] = server.run("sed", "-n", "2p", key).strip()
    return secrets


@pytest.fixture(scope="module")
def findings(deployment: Deployment) -> Findings:
    question = {"texts": texts_of(deployment), "folders": FOLDERS, "readers": "all"}
    return {name: server.python(SEARCH, question) for name, server in deployment.servers.items()}


def of_all(findings: Findings, where: str) -> dict[str, Any]:
    return {name: found[where] for name, found in findings.items() if found[where]}


def test_the_search_finds_what_only_root_may_read(deployment: Deployment) -> None:
    texts = texts_of(deployment)
    question = {"texts": texts, "folders": [f"/etc/{deployment.app}"], "readers": "root"}
    found: set[str] = set()
    for server in deployment.servers.values():
        found |= {name for names in server.python(SEARCH, question)["files"].values() for name in names}
    # The broker stores digests of its users' passwords only, and the CA's passphrase stays on the control node.
    assert set(texts) - found <= {"PKI_CA_PASSPHRASE", "BACKUP_IDENTITY"}


def test_no_process_shows_a_secret_in_its_arguments_or_environment(findings: Findings) -> None:
    assert of_all(findings, "processes") == {}


def test_no_unit_shows_a_secret(findings: Findings) -> None:
    assert of_all(findings, "units") == {}


def test_no_file_that_others_may_read_holds_a_secret(findings: Findings) -> None:
    assert of_all(findings, "files") == {}


def test_the_journal_holds_no_secret(findings: Findings) -> None:
    assert of_all(findings, "journal") == {}


def test_the_control_node_keeps_secrets_for_its_user_alone(deployment: Deployment) -> None:
    folders = [deployment.state / "secrets", deployment.state / "pki"]
    private = [*folders, *folders[0].iterdir(), folders[1] / "ca.key"]
    assert [path for path in private if path.stat().st_mode & 0o077] == []
    assert "ENCRYPTED" in (deployment.state / "pki" / "ca.key").read_text()
