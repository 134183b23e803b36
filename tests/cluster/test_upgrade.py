"""Upgrades, rollbacks and failing releases while tasks run: none is lost, none takes effect twice."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from chart_release import CHART
from cluster import ClusterFailed
from resources.effects import once

from tests.cluster.desk import Desk
from tests.cluster.ledger import ended_where_they_began, until_all_run
from tests.cluster.release import BRIEF, Release, name_of

SECONDS_UNTIL_ALL_TOOK_EFFECT = 300
LONG = 25
OTHER_PORT = 6390
MIGRATIONS = CHART.parents[1] / "sample_app" / "shop" / "migrations"
MISSING = {"app": {"kubernetes": {"image": {"tag": "missing"}}}}
CHANGED = {"app": {"env": {"SHOP_KEEP_DAYS": 30}}, "pools": {"default": {"max_tasks_per_child": 500}}}


@pytest.fixture(scope="module")
def older_chart(empty_release: Release, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """This chart under an older version, as a package, with other scripts and a pod that has another form."""
    folder = tmp_path_factory.mktemp("older")
    copy = shutil.copytree(CHART, folder / "stalk")
    about = copy / "Chart.yaml"
    about.write_text(about.read_text().replace("\nversion: ", "\nversion: 0.0.0-before-"))
    for path, text, other in (
        ("files/app/run-worker", "set -u\n", "set -u\necho The older chart runs me\n"),
        ("templates/worker/deployment.yaml", "revisionHistoryLimit: 5", "revisionHistoryLimit: 3"),
    ):
        file = copy / path
        assert text in file.read_text()
        file.write_text(file.read_text().replace(text, other))
    empty_release.cluster.helm("package", str(copy), "--destination", str(folder))
    return next(folder.glob("*.tgz"))


@pytest.fixture(scope="module")
def release(empty_release: Release, older_chart: Path) -> Release:
    empty_release.files += (BRIEF,)
    empty_release.install(chart=older_chart)
    return empty_release


def pods(release: Release) -> set[str]:
    return {name_of(pod) for name in ("worker", "web", "beat") for pod in release.pods(name)} - {"desk"}


def long_tasks(release: Release, desk: Desk) -> dict[str, str]:
    """Tasks that run in both pools, and in which pods."""
    keys = [*desk.send("long", 2, LONG), *desk.send("long-io", 3, LONG, "webhooks")]
    return until_all_run(release, keys)


def test_an_installation_whose_image_is_missing_starts_nothing(empty_release: Release) -> None:
    """The installation that follows in the fixture `release` finds what it left."""
    with pytest.raises(ClusterFailed, match="failed"):
        empty_release.install(MISSING, "--timeout=20s")
    assert not empty_release.running_pods()
    assert not empty_release.get("deployments,statefulsets")


def upgrade_from_the_older_chart(release: Release) -> None:
    release.upgrade(CHANGED)


def rollback(release: Release) -> None:
    release.rollback()


@pytest.mark.parametrize("happens", [upgrade_from_the_older_chart, rollback])
def test_tasks_end_where_they_began(release: Release, desk: Desk, happens: Callable[[Release], None]) -> None:
    before = pods(release)
    with desk.flow("celery", "webhooks") as short:
        long = long_tasks(release, desk)
        happens(release)
    ledger = release.all_effects([*long, *short], SECONDS_UNTIL_ALL_TOOK_EFFECT)
    assert once(ledger)
    assert ended_where_they_began(ledger, long)
    assert not pods(release) & before


def upgrade_to_what_it_was(release: Release, older_chart: Path) -> None:
    release.upgrade(chart=older_chart)


def rollback_to_what_it_was(release: Release, _: Path) -> None:
    release.rollback()


@pytest.mark.parametrize(
    "mend", [upgrade_to_what_it_was, pytest.param(rollback_to_what_it_was, marks=pytest.mark.long)]
)
def test_a_release_whose_image_is_missing_ends_nothing_and_is_mended(
    release: Release, desk: Desk, older_chart: Path, mend: Callable[[Release, Path], None]
) -> None:
    before = pods(release)
    with desk.flow("celery", "webhooks") as short:
        long = long_tasks(release, desk)
        with pytest.raises(ClusterFailed, match="failed"):
            release.upgrade(MISSING, "--timeout=20s")
        assert pods(release) >= before
        mend(release, older_chart)
    assert once(release.all_effects([*long, *short], SECONDS_UNTIL_ALL_TOOK_EFFECT))
    assert pods(release) == before


@pytest.fixture
def broken_migration(release: Release) -> dict[str, Any]:
    """Values by which the app has a migration that fails."""
    last = max(path.stem for path in MIGRATIONS.glob("0*.py"))
    code = "from django.db import migrations\nclass Migration(migrations.Migration):\n"
    code += f"    dependencies = [('shop', '{last}')]\n    operations = [migrations.RunSQL('SELECT broken')]\n"
    about = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "broken-migration"}}
    release.apply(json.dumps({**about, "data": {"9999_broken.py": code}}))
    mount = {"name": "broken", "mountPath": "/app/shop/migrations/9999_broken.py", "subPath": "9999_broken.py"}
    volume = {"name": "broken", "configMap": {"name": "broken-migration"}}
    options = {"kubernetes": {"extraVolumes": [volume], "extraVolumeMounts": [mount]}}
    return {"app": {"kubernetes": {"migrations": options["kubernetes"]}}, "beat": options, "web": options}


def test_a_release_whose_migration_fails_takes_no_secret_from_the_pods_that_run(
    release: Release, broken_migration: dict[str, Any]
) -> None:
    def secrets() -> dict[str, str]:
        found = json.loads(release.kubectl("get", "secret", "shop-worker", "--output=jsonpath={.data}"))
        return {key: base64.b64decode(value).decode() for key, value in found.items()}

    before, began = secrets(), pods(release)
    assert "CELERY_RESULT_BACKEND" in before
    with pytest.raises(ClusterFailed, match='column "broken" does not exist'):
        release.upgrade({**broken_migration, "results": {"kind": "none"}, "broker": {"port": OTHER_PORT}})
    assert secrets().keys() == before.keys()
    assert f":{OTHER_PORT}/" in secrets()["CELERY_BROKER_URL"]
    release.rollback()
    assert secrets() == before
    assert pods(release) == began


def test_a_release_whose_migration_fails_ends_nothing_and_is_taken_back(
    release: Release, desk: Desk, broken_migration: dict[str, Any]
) -> None:
    before = pods(release)
    with desk.flow("celery", "webhooks") as short:
        long = long_tasks(release, desk)
        with pytest.raises(ClusterFailed, match='column "broken" does not exist'):
            release.upgrade(broken_migration, "--atomic", "--timeout=60s")
    assert once(release.all_effects([*long, *short], SECONDS_UNTIL_ALL_TOOK_EFFECT))
    assert pods(release) == before
    assert yaml.safe_load(release.helm("status", "--output=yaml"))["info"]["status"] == "deployed"
