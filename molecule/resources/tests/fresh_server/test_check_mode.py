"""Check mode on servers that nothing was deployed to yet."""

from __future__ import annotations

from resources.deployment import Deployment, Server

EVERYTHING = ["find", "/", "-xdev", "-path", "/var/log", "-prune", "-o", "-path", "/root/.ansible", "-prune", "-o"]


def fingerprint(server: Server) -> set[str]:
    """Every file and folder with its size, mode and time of change."""
    listed = server.run(*EVERYTHING, "-path", "/var/lib/systemd/*", "-prune", "-o", "-printf", "%p %s %m %T@\\n")
    return set(listed.splitlines())


def test_check_mode_on_a_fresh_server_passes_and_changes_nothing(deployment: Deployment) -> None:
    before = {name: fingerprint(server) for name, server in deployment.servers.items()}
    run = deployment.site("--check", "--diff")
    assert run.rc == 0, run.output
    for name, server in deployment.servers.items():
        assert not fingerprint(server) ^ before[name]
    assert not (deployment.state / "secrets").exists(), "check mode made secrets"
    assert not (deployment.state / "pki").exists(), "check mode made a CA"
