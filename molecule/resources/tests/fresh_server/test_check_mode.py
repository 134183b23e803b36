"""Check mode on servers that nothing was deployed to yet."""

from __future__ import annotations

from resources.deployment import Deployment, Server

# Where running itself leaves traces: logs, systemd's and Ansible's own, and apt's list of what there is to install.
TRACES = ["/tmp", "/var/log", "/var/lib/systemd", "/root/.ansible", "/var/cache/apt", "/var/lib/apt"]


def fingerprint(server: Server) -> set[str]:
    """Every file and folder with its size, mode and time of change."""
    left_out = [part for trace in TRACES for part in ("-path", trace, "-prune", "-o")]
    return set(server.run("find", "/", "-xdev", *left_out, "-printf", "%p %s %m %T@\n").splitlines())


def test_check_mode_on_a_fresh_server_passes_and_changes_nothing(deployment: Deployment) -> None:
    before = {name: fingerprint(server) for name, server in deployment.servers.items()}
    run = deployment.site("--check", "--diff")
    assert run.rc == 0, run.output
    for name, server in deployment.servers.items():
        assert sorted(fingerprint(server) ^ before[name]) == []
    assert not (deployment.state / "secrets").exists(), "check mode made secrets"
    assert not (deployment.state / "pki").exists(), "check mode made a CA"
