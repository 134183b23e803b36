"""The configuration of a Redis or a Sentinel of a test run's own."""

from __future__ import annotations

from pathlib import Path

from tests.pki import Authority


def write_redis_config(
    folder: Path, authority: Authority, port: int, *, name: str, users: list[str], lines: list[str]
) -> Path:
    """Makes the folder and redis.conf in it: TLS alone, a client's certificate required, no user but these. `name` is
    that of its certificate."""
    certificate, key = authority.leaf(name)
    folder.mkdir()
    # As which Redis reads its append-only file (redis/redis issue 14541).
    nobody = "user default off resetpass ~* &* +@all"
    (folder / "users.acl").write_text("\n".join((nobody, *users, "")))
    configured = (
        "bind 127.0.0.1",
        "port 0",
        f"tls-port {port}",
        f"tls-cert-file {certificate}",
        f"tls-key-file {key}",
        f"tls-ca-cert-file {authority.path}",
        "tls-auth-clients yes",
        f"aclfile {folder / 'users.acl'}",
        f"dir {folder}",
        f"logfile {folder / 'redis.log'}",
        *lines,
        "",
    )
    path = folder / "redis.conf"
    path.write_text("\n".join(configured))
    return path
