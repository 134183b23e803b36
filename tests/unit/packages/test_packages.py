from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from ansible_collections.stalk.celery.plugins.modules import packages


def test_installed_package_is_not_missing() -> None:
    assert packages.missing(["dpkg", "no-such-package", "coreutils"]) == ["no-such-package"]


@pytest.fixture
def lists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "lists"
    folder.mkdir()
    monkeypatch.setattr(packages, "LISTS", folder)
    monkeypatch.setattr(packages, "FETCHED", tmp_path / "update-success-stamp")
    return folder


def test_new_folder_without_lists_is_not_fresh(lists: Path) -> None:
    assert not packages.lists_are_fresh()


def test_lists_are_fresh_for_an_hour(lists: Path) -> None:
    (lists / "mirror.example_debian_dists_trixie_main_binary-amd64_Packages").touch()
    assert packages.lists_are_fresh()
    hours_ago = time.time() - 2 * packages.FRESH
    os.utime(lists, (hours_ago, hours_ago))
    assert not packages.lists_are_fresh()


def test_services_are_held_while_packages_are_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    policy = tmp_path / "policy-rc.d"
    monkeypatch.setattr(packages, "POLICY", policy)
    with packages.services_held():
        assert os.access(policy, os.X_OK)
        assert "exit 101" in policy.read_text()
    assert not policy.exists()


def test_policy_of_the_host_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    policy = tmp_path / "policy-rc.d"
    policy.write_text("theirs")
    monkeypatch.setattr(packages, "POLICY", policy)
    with packages.services_held():
        assert policy.read_text() == "theirs"
    assert policy.read_text() == "theirs"


def test_failure_says_what_apt_said() -> None:
    with pytest.raises(packages.PackagesFailed, match="apt-get install: E: Unable to locate package no-such-package"):
        packages.apt_get("install", "--simulate", "no-such-package")


def test_unit_is_masked_when_it_links_to_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "SYSTEM", tmp_path)
    (tmp_path / "masked.service").symlink_to("/dev/null")
    (tmp_path / "own.service").touch()
    names = ["masked.service", "own.service", "absent.service"]
    assert packages.unmasked(names) == ["own.service", "absent.service"]


def test_policy_that_a_killed_run_left_is_taken_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    policy = tmp_path / "policy-rc.d"
    monkeypatch.setattr(packages, "POLICY", policy)
    policy.write_text(packages.OUR_POLICY)
    with packages.services_held():
        assert policy.read_text() == packages.OUR_POLICY
    assert not policy.exists()


def test_services_start_again_after_a_killed_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lists: Path) -> None:
    policy = tmp_path / "policy-rc.d"
    monkeypatch.setattr(packages, "POLICY", policy)
    policy.write_text(packages.OUR_POLICY)
    seen: list[tuple[str, bool]] = []
    monkeypatch.setattr(packages, "apt_get", lambda *arguments: seen.append((arguments[0], policy.exists())))
    packages.install(["redis-server"], start_services=True)
    assert seen == [("update", False), ("install", False)]


@pytest.mark.parametrize(("failures", "tries"), [(0, 1), (2, 3)])
def test_lists_are_fetched_again_when_that_fails(monkeypatch: pytest.MonkeyPatch, failures: int, tries: int) -> None:
    asked: list[str] = []

    def apt_get(command: str) -> None:
        asked.append(command)
        if len(asked) <= failures:
            raise packages.PackagesFailed("no answer")

    monkeypatch.setattr(packages, "apt_get", apt_get)
    monkeypatch.setattr(packages, "SECONDS_BETWEEN_TRIES", 0)
    packages.fetch_lists()
    assert len(asked) == tries


def test_lists_that_cannot_be_fetched_are_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    def apt_get(command: str) -> None:
        raise packages.PackagesFailed("no answer")

    monkeypatch.setattr(packages, "apt_get", apt_get)
    monkeypatch.setattr(packages, "SECONDS_BETWEEN_TRIES", 0)
    with pytest.raises(packages.PackagesFailed, match="no answer"):
        packages.fetch_lists()
