"""Every case renders without a cluster, the same each time, and with no secret in it."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from tests.chart.renders import CASES, FILES, NAMESPACE, RELEASE, Object, objects, render, template, title
from tests.helm import CHART, helm

LABELS = {"name", "instance", "component", "part-of", "managed-by"}
USER_AND_PASSWORD = re.compile(r"\w+://[^\s/:@]*:([^\s/@]+)@")


def is_lasting(made: Object) -> bool:
    return "helm.sh/hook" not in made["metadata"].get("annotations", {})


@pytest.mark.parametrize("case", CASES)
def test_it_passes_helm_lint(case: str) -> None:
    linted = helm("lint", CHART, f"--values={FILES[case]}", "--strict")
    assert not linted.returncode, linted.stdout


@pytest.mark.parametrize("case", CASES)
def test_it_renders_the_same_bytes_again(case: str) -> None:
    assert template(case, "--is-upgrade").stdout == render(case)


@pytest.mark.parametrize("case", CASES)
def test_an_upgrade_renders_what_an_installation_does_but_for_its_hooks(case: str) -> None:
    upgrade, installation = objects(render(case)), objects(template(case).stdout)
    assert list(filter(is_lasting, upgrade)) == list(filter(is_lasting, installation))


@pytest.mark.parametrize("case", [case for case in CASES if case != "01-defaults"])
def test_it_differs_from_the_defaults(case: str) -> None:
    assert render(case) != render("01-defaults")


@pytest.mark.parametrize("case", CASES)
def test_no_object_is_there_twice(case: str) -> None:
    assert [name for name, count in Counter(map(title, objects(render(case)))).items() if count > 1] == []


@pytest.mark.parametrize("case", CASES)
def test_no_volume_has_two_files_of_one_path(case: str) -> None:
    for made in objects(render(case)):
        for volume in volumes_of(made):
            paths = Counter(projected_paths(volume))
            assert [path for path, count in paths.items() if count > 1] == [], f"{title(made)} {volume['name']}"


def volumes_of(made: Object) -> list[Object]:
    """Those of its pods, where it has any."""
    pod = made.get("spec", {}).get("template", {}).get("spec", {})
    return list(pod.get("volumes", []))


def projected_paths(volume: Object) -> list[str]:
    sources = volume.get("projected", {}).get("sources", [])
    return [item["path"] for source in sources for held in source.values() for item in held.get("items", [])]


@pytest.mark.parametrize("case", CASES)
def test_every_object_is_in_the_namespace_and_has_the_recommended_labels(case: str) -> None:
    for made in objects(render(case)):
        assert made["metadata"]["namespace"] == NAMESPACE, title(made)
        labels = made["metadata"]["labels"]
        assert {f"app.kubernetes.io/{name}" for name in LABELS} | {"helm.sh/chart"} <= labels.keys(), title(made)
        assert labels["app.kubernetes.io/instance"] == RELEASE, title(made)


@pytest.mark.parametrize("case", CASES)
def test_it_renders_no_secret(case: str) -> None:
    assert "Secret" not in {made["kind"] for made in objects(render(case))}
    passwords = USER_AND_PASSWORD.findall(render(case))
    assert [password for password in passwords if not re.fullmatch(r"\{\w+\}|PASSWORD", password)] == []


@pytest.mark.parametrize("case", CASES)
def test_no_hook_waits_for_what_the_release_makes_after_it(case: str) -> None:
    """An upgrade may follow an installation that failed before it made anything."""
    made = objects(render(case))
    hooks = {title(one) for one in made if not is_lasting(one)}
    later = {title(one) for one in made if is_lasting(one)} - hooks
    for job in (one for one in made if one["kind"] == "Job" and title(one) in hooks and comes_before(one)):
        assert needs(job["spec"]["template"]["spec"]) & later == set(), title(job)


def comes_before(hook: Object) -> bool:
    return any(event.startswith("pre-") for event in hook["metadata"]["annotations"]["helm.sh/hook"].split(","))


def needs(pod: Object) -> set[str]:
    """The ServiceAccount and the ConfigMaps without which a pod does not start."""
    named = [("ServiceAccount", {"name": pod["serviceAccountName"]})]
    named += [("ConfigMap", volume.get("configMap")) for volume in pod["volumes"]]
    for container in pod["containers"]:
        named += [("ConfigMap", one.get("valueFrom", {}).get("configMapKeyRef")) for one in container.get("env", [])]
    return {f"{kind}/{one['name']}" for kind, one in named if one and not one.get("optional")}
