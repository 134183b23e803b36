"""Django's DATABASES["default"] from the environment."""

from __future__ import annotations

from typing import Any

import dj_database_url

from celery_ops import environment


def postgresql() -> dict[str, Any]:
    """PostgreSQL by DATABASE_URL; libpq itself reads the files of TLS from PGSSL*."""
    value = environment.required_secret("DATABASE_URL", "set it to postgresql://user:password@host:5432/name")
    environment.url("DATABASE_URL", ("postgresql", "postgres"), value)
    settings: dict[str, Any] = dict(dj_database_url.parse(value, conn_max_age=60, conn_health_checks=True))
    # A host that went away without a word is noticed within seconds, not after the minutes that TCP takes.
    settings["OPTIONS"] = {
        **settings.get("OPTIONS", {}),
        "connect_timeout": 5,
        "keepalives_idle": 15,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": 15000,
    }
    return settings
