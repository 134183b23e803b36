from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
from ansible_collections.stalk.celery.plugins.module_utils.services import (
    Service,
    State,
    Systemd,
    beats,
    departed_files,
    departed_units,
    loaded_units,
    newest_change,
    parse_show,
    parse_span,
    parse_timestamp,
    plan,
    unit_files,
)

SHOWN = """Id=shop-worker@high.service
LoadState=loaded
ActiveState=active
SubState=running
UnitFileState=enabled
NeedDaemonReload=no
NRestarts=2
Result=success
ActiveEnterTimestamp=Sat 2026-11-21 09:00:01.000000 UTC
ExecMainStartTimestamp=Sat 2026-11-21 09:00:00.500000 UTC
TimeoutStopUSec=30min 45s

Id=shop-worker@low.service
LoadState=not-found
ActiveState=inactive
UnitFileState=
NeedDaemonReload=no
ActiveEnterTimestamp=
"""
HIGH = "shop-worker@high.service"


def running(unit: str = HIGH, **other: object) -> State:
    values: dict[str, object] = {
        "unit": unit, "loaded": True, "active": "active", "enabled": True, "stale": False,
        "restarts": 0, "result": "success", "started": 100.0, "settled": 100.0,
    }  # fmt: skip
    return State(**{**values, **other})  # type: ignore[arg-type]


def test_what_systemctl_shows_is_understood() -> None:
    states = parse_show(SHOWN)
    high = states[HIGH]
    assert (high.runs, high.enabled, high.restarts) == (True, True, 2)
    assert (high.stop_seconds, high.sub) == (1845, "running")
    assert high.started == parse_timestamp("Sat 2026-11-21 09:00:00.500000 UTC")
    assert not states["shop-worker@low.service"].runs


@pytest.mark.parametrize(
    ("state", "changed", "todo"),
    [
        (running(), 99.0, ""),
        (running(), 101.0, "restart"),
        (running(stale=True), 99.0, "restart"),
        (running(active="activating"), 101.0, "restart"),
        (running(active="deactivating"), 99.0, "start"),
        (running(active="failed"), 99.0, "start"),
        (running("shop.target", stale=True), 101.0, ""),
        (None, 99.0, "start"),
    ],
)
def test_a_unit_older_than_its_configuration_restarts(state: State | None, changed: float, todo: str) -> None:
    unit = state.unit if state else HIGH
    states = {state.unit: state} if state else {}
    work = plan([Service(unit)], states, lambda service: changed, [], files_change=False)
    assert (work.start, work.restart) == ([unit] if todo == "start" else [], [unit] if todo == "restart" else [])


@pytest.mark.parametrize(
    ("state", "change", "todo"),
    [
        (running(), "watched", "restart"),
        (running(), "reloaded", "refresh"),
        (running(), "both", "restart refresh"),
        (running(active="activating", sub="start"), "watched", "revive"),
        (running(active="activating", sub="auto-restart"), "reloaded", "revive"),
        (running(active="activating", sub="start"), "", ""),
        (running(active="activating", sub="start-post"), "watched", "restart"),
        (running(active="activating", sub="start-post"), "reloaded", "refresh"),
    ],
)
def test_a_node_reloads_before_it_restarts_and_is_asked_for_nothing_when_it_is_not_up(
    tmp_path: Path, state: State, change: str, todo: str
) -> None:
    node = Service(HIGH, reload=(tmp_path / "certificate",), spare=("ask",))
    if change in ("reloaded", "both"):
        node.reload[0].touch()
    configured = 101.0 if change in ("watched", "both") else 99.0
    work = plan([node], {HIGH: state}, lambda service: configured, [], files_change=False)
    assert {name: units for name, units in vars(work).items() if units} == {each: [HIGH] for each in todo.split()}


def test_what_is_left_to_a_later_call_is_still_seen_by_it(tmp_path: Path) -> None:
    node = Service(HIGH, reload=(tmp_path / "certificate",), spare=("ask",))
    stale = plan([node], {HIGH: running(stale=True)}, lambda service: 99.0, [], files_change=False)
    assert (stale.restart, stale.reload) == ([HIGH], True)
    assert not stale.limited(["reload"])
    node.reload[0].touch()
    changed = plan([node], {HIGH: running()}, lambda service: 101.0, [], files_change=False)
    assert (changed.refresh, changed.restart) == ([HIGH], [HIGH])
    assert changed.limited(["reload"]).refresh == [HIGH]
    assert not changed.limited([])
    down = plan([node], {}, lambda service: 99.0, [], files_change=True).limited([])
    assert (down.start, down.reload) == ([HIGH], True)


def test_a_unit_in_its_first_commands_counts_from_when_it_left_the_inactive() -> None:
    shown = SHOWN.replace("ActiveState=active", "ActiveState=activating").replace(
        "ExecMainStartTimestamp=Sat 2026-11-21 09:00:00.500000 UTC",
        "ExecMainStartTimestamp=n/a\nInactiveExitTimestamp=Sat 2026-11-21 09:30:00.000000 UTC",
    )
    assert parse_show(shown)[HIGH].started == parse_timestamp("Sat 2026-11-21 09:30:00.000000 UTC")


def test_only_the_unit_that_changed_restarts() -> None:
    units = [Service(HIGH), Service("shop-worker@io.service")]
    states = {service.unit: running(service.unit) for service in units}
    work = plan(units, states, lambda service: 101.0 if service.unit == HIGH else 99.0, [], files_change=True)
    assert work.restart == [HIGH]


def test_what_may_take_longest_to_stop_restarts_first() -> None:
    states = {
        unit: running(unit, stop_seconds=seconds) for unit, seconds in (("a", 45.0), ("b", 7245.0), ("c", 1845.0))
    }
    work = plan([Service(unit) for unit in states], states, lambda service: 101.0, [], files_change=True)
    assert work.restart == ["b", "c", "a"]


@pytest.mark.parametrize(
    ("text", "seconds"), [("", 0), ("45s", 45), ("2h 2min", 7320), ("1d 500ms", 86400.5), ("infinity", float("inf"))]
)
def test_spans_of_systemd(text: str, seconds: float) -> None:
    assert parse_span(text) == seconds


def test_nothing_to_do_is_no_change() -> None:
    assert not plan([Service(HIGH)], {HIGH: running()}, lambda service: 99.0, [], files_change=False)


def test_replacing_touching_and_removing_are_changes(tmp_path: Path) -> None:
    (tmp_path / "KEY").write_text("")
    os.utime(tmp_path / "KEY", (1, 1))
    assert newest_change([tmp_path / "KEY"]) > time.time() - 60
    assert newest_change([tmp_path / "absent"]) == 0
    (tmp_path / "new").write_text("")
    before = newest_change([tmp_path])
    while newest_change([tmp_path]) == before:
        (tmp_path / "new").write_text("more")
    (tmp_path / "link").symlink_to("KEY")
    assert newest_change([tmp_path / "link"]) == (tmp_path / "link").lstat().st_ctime


def test_definition_of_an_instance_is_its_template_and_drop_ins() -> None:
    assert [path.name for path in unit_files(HIGH)] == [
        HIGH, "shop-worker@.service", f"{HIGH}.d", "shop-worker@.service.d",
    ]  # fmt: skip


def test_departed_units_are_stopped_and_templates_are_not_units() -> None:
    known = [HIGH, "shop-worker@old.service", "shop-worker@.service", "shop-web.service", "other-worker@x.service"]
    assert departed_units(["shop-worker@*.service"], [HIGH], known) == ["shop-worker@old.service"]
    assert departed_files(["shop-beat.service"]) == ("shop-beat.service", "shop-beat.service.d/*")


def test_a_pattern_with_a_folder_is_one_of_files() -> None:
    patterns = ["shop-beat.service", "reboot.target.d/shop.conf"]
    assert departed_files(patterns) == ("shop-beat.service", "shop-beat.service.d/*", "reboot.target.d/shop.conf")
    assert departed_units(patterns, [], ["reboot.target", "shop-beat.service"]) == ["shop-beat.service"]


LISTED = """shop-worker@high.service loaded active running shop: worker pool high
shop-worker@gone.service loaded inactive dead shop: worker pool gone
shop-worker@stopped.service loaded inactive dead shop: worker pool stopped
shop-worker@broken.service loaded failed failed shop: worker pool broken
shop-worker@never.service not-found inactive dead shop-worker@never.service
"""


def test_a_unit_that_is_only_remembered_is_not_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "shop-worker@stopped.service.d").mkdir()
    (tmp_path / "shop.target.wants").mkdir()
    (tmp_path / "shop.target.wants/shop-worker@enabled.service").symlink_to("/nowhere")
    systemd = Systemd(tmp_path)
    monkeypatch.setattr(systemd, "call", lambda *arguments: LISTED)
    assert set(loaded_units(LISTED)) == {
        f"shop-worker@{name}.service" for name in ("high", "gone", "stopped", "broken")
    }
    known = {unit.partition("@")[2].removesuffix(".service") for unit in systemd.known(["shop-worker@*.service"])}
    assert known == {"high", "stopped", "broken", "enabled"}


@pytest.mark.parametrize(
    ("age", "content", "expected"),
    [
        (0, {"consuming": True}, True),
        (0, {"consuming": False}, False),
        (0, {}, False),
        (3600, {"consuming": True}, False),
    ],
)
def test_a_pool_works_when_its_own_fresh_heartbeat_says_so(
    tmp_path: Path, age: int, content: dict[str, bool], expected: bool
) -> None:
    heartbeat = tmp_path / "heartbeat"
    heartbeat.write_text(json.dumps({"time": time.time() - age, **content}))
    assert beats(heartbeat, 0.0, consuming=True) is expected
    assert not beats(heartbeat, time.time() + 60, consuming=True)


@pytest.mark.parametrize("content", ["", "[]", "{", '{"time": null, "consuming": true}'])
def test_a_broken_heartbeat_is_none(tmp_path: Path, content: str) -> None:
    (tmp_path / "heartbeat").write_text(content)
    assert not beats(tmp_path / "heartbeat", 0.0, consuming=False)
    assert not beats(tmp_path / "absent", 0.0, consuming=False)
