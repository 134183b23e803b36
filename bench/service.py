"""Runs a program in a measured server with the environment and credentials of one of its components."""

from __future__ import annotations

from collections.abc import Iterable

from bench.server import HOST, inside

VENV = "/srv/shop/current/venv/bin"
APP = "/srv/shop/current/app"


def service(
    unit: str,
    component: str,
    folder: str,
    *command: str,
    wait: bool = False,
    host: str = HOST,
    options: Iterable[str] = (),
) -> str:
    """Runs it as a service of its own; with `wait` until it ends, and gives what it printed."""
    names = inside("ls", f"/etc/shop/credentials/{component}", host=host).split()
    key = f"/run/credentials/{unit}/CELERY_TLS_KEY"
    return inside(
        "systemd-run",
        *("--quiet", "--collect", f"--unit={unit}", f"--working-directory={folder}", "--property=User=shop"),
        *(["--wait", "--pipe"] if wait else []),
        f"--property=EnvironmentFile=/etc/shop/{component}.env",
        *(f"--property=LoadCredential={name}:/etc/shop/credentials/{component}/{name}" for name in names),
        f"--property=LoadCredential=CELERY_TLS_KEY:/etc/shop/pki/{component}.key",
        *(f"--setenv={name}={key}" for name in ("CELERY_TLS_KEY", "PGSSLKEY")),
        *options,
        *command,
        host=host,
    )
