"""Secrets of the user's own that do not serve: Helm says so in one line, nothing changes, and mended they are taken."""

from __future__ import annotations

from typing import Any

import pytest
from cluster import ClusterFailed

from tests.cluster.release import BRIEF, Release

OWN = {"app": {"kubernetes": {"existingSecret": {"name": "own"}}}}
EXTERNAL = {"broker": {"kind": "external", "kubernetes": {"existingSecret": {"name": "own"}}}}
DATABASE = {"database": {"kind": "external", "kubernetes": {"existingSecret": {"name": "own"}}}}
OAUTH = {
    "flower": {
        "enabled": True,
        "auth": {"kind": "oauth", "emails": ".*@example.org"},
        "kubernetes": {"existingSecret": {"name": "own"}},
    }
}
PROVIDED = {"tls": {"issuer": "provided", "kubernetes": {"ca": "own"}}}
BROKEN = [
    pytest.param(
        OWN,
        {"django_secret_key": "x"},
        "secret DJANGO_SECRET_KEY: the key is missing in the Secret own; add it there",
        id="wrong key",
    ),
    pytest.param(
        EXTERNAL,
        {"CELERY_BROKER_URL": "redis.example.org"},
        "broker.kind: is external, and the secret CELERY_BROKER_URL is no address of a Redis;"
        " write it as rediss://USER:PASSWORD@HOST:6379/0",
        id="no URL",
    ),
    pytest.param(
        DATABASE,
        {"DATABASE_URL": "postgresql://u:p@db.example.org:5432/shop"},
        "database.kind: is external, and nothing keeps its connection from being in plain text; end the secret"
        " DATABASE_URL with ?sslmode=verify-full, or write PGSSLMODE: verify-full into app.env",
        id="plain text",
    ),
    pytest.param(
        OAUTH,
        {"FLOWER_COOKIE_SECRET": "c" * 40, "flower-users": "admin:a"},
        "flower.auth.secret: the secret flower-users has no line oauth2_key=…, which oauth needs;"
        " write the lines oauth2_key=… and oauth2_secret=… into it",
        id="no client of OAuth",
    ),
    pytest.param(
        PROVIDED,
        {"tls.crt": "x", "tls.key": "x"},
        "Secret own: tls.crt: holds no PEM certificate; put the CA's certificate there",
        id="no PEM",
    ),
]


@pytest.fixture(scope="module")
def empty_release(empty_release: Release) -> Release:
    empty_release.files += (BRIEF,)
    return empty_release


def write(release: Release, keys: dict[str, str]) -> None:
    release.kubectl("delete", "secret", "own", "--ignore-not-found")
    release.kubectl("create", "secret", "generic", "own", *(f"--from-literal={key}={keys[key]}" for key in keys))


def refusal(release: Release, values: dict[str, Any]) -> str:
    """What Helm says of them before its own error."""
    with pytest.raises(ClusterFailed, match="job shop-secrets-hook failed") as failure:
        release.upgrade(values)
    said = str(failure.value).partition("failed: ")[2]
    return said.partition("Error: ")[0].strip()


def test_an_installation_without_its_secret_starts_nothing_until_it_is_there(empty_release: Release) -> None:
    line = "stalk: secret DJANGO_SECRET_KEY: the key is missing in the Secret own; add it to it, after you made it"
    assert refusal(empty_release, OWN) == line
    assert {pod["metadata"]["labels"]["app.kubernetes.io/component"] for pod in empty_release.get("pods")} == {
        "secrets"
    }
    write(empty_release, {"DJANGO_SECRET_KEY": "k" * 50})
    empty_release.install(OWN)
    with empty_release.shop() as shop:
        assert shop.place_orders(1)


@pytest.mark.parametrize(("values", "keys", "line"), BROKEN)
def test_an_upgrade_that_is_refused_changes_nothing(
    release: Release, values: dict[str, Any], keys: dict[str, str], line: str
) -> None:
    before = release.running_pods()
    write(release, keys)
    assert refusal(release, values) == f"stalk: {line}"
    assert release.running_pods() == before


def test_an_upgrade_takes_the_mended_secret(release: Release) -> None:
    write(release, {"django_secret_key": "x"})
    refusal(release, OWN)
    write(release, {"DJANGO_SECRET_KEY": "k" * 50})
    release.upgrade(OWN)
    assert release.django("from django.conf import settings; print(settings.SECRET_KEY)").strip() == "k" * 50
