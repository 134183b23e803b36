"""Runs a program in a measured server with the environment and credentials of one of its components."""

from __future__ import annotations

from collections.abc import Iterable

from bench.server import HOST, BenchFailed, inside, wait_until

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


def start_worker(
    unit: str, folder: str, app: str, *arguments: str, host: str = HOST, options: Iterable[str] = ()
) -> None:
    """`celery worker` as a service with a worker's rights; returns once it takes tasks."""
    log = f"/var/log/{unit}.log"
    inside("rm", "-f", log, host=host)
    command = (f"{VENV}/celery", "-A", app, "worker", "--loglevel=INFO", *arguments)
    to_file = (f"--property=StandardOutput=append:{log}", f"--property=StandardError=append:{log}")
    service(unit, "worker", folder, *command, host=host, options=(*options, *to_file))
    try:
        wait_until(f"{unit} is ready on {host}", lambda: " ready." in inside("cat", log, host=host, check=False))
    except BenchFailed as failure:
        raise BenchFailed(f"{failure}; its log ends with:\n{inside('tail', log, host=host)}") from None
