from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from ansible_collections.stalk.celery.plugins.module_utils.managed_files import (
    ContentRefused,
    Folder,
    converge,
    surplus,
)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_files_and_folders_get_their_modes_and_a_second_run_changes_nothing(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "credentials", {"web/KEY": "secret"}, mode=0o700, file_mode=0o600)
    first = converge(folder, dry=False)
    assert first.added == [str(folder.path), str(folder.path / "web"), str(folder.path / "web/KEY")]
    assert (mode(folder.path / "web"), mode(folder.path / "web/KEY")) == (0o700, 0o600)
    assert (folder.path / "web/KEY").read_text() == "secret"
    assert not converge(folder, dry=False)
    converge(Folder(tmp_path / "scripts", {"run": ""}, file_mode=0o755), dry=False)
    assert mode(tmp_path / "scripts/run") == 0o755


def test_a_dry_run_says_the_same_and_does_nothing(tmp_path: Path) -> None:
    (tmp_path / "old.env").write_text("a")
    folder = Folder(tmp_path, {"new.env": "b"}, mode=mode(tmp_path), exactly=("*.env",))
    dry = converge(folder, dry=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["old.env"]
    assert (dry.added, dry.removed) == ([str(tmp_path / "new.env")], [str(tmp_path / "old.env")])
    assert converge(folder, dry=False).paths() == dry.paths()
    assert not converge(folder, dry=False)


def test_only_what_matches_is_removed_and_the_emptied_folder_with_it(tmp_path: Path) -> None:
    for name in ("a.d/pool.conf", "b.d/pool.conf", "b.d/by-hand", "c.service"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    converge(Folder(tmp_path, {}, mode=mode(tmp_path), exactly=("?.d/pool.conf",)), dry=False)
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")) == [
        "b.d",
        "b.d/by-hand",
        "c.service",
    ]


def test_a_wider_mode_is_taken_back(tmp_path: Path) -> None:
    folder = Folder(tmp_path, {"KEY": "secret"}, mode=mode(tmp_path), file_mode=0o600)
    converge(folder, dry=False)
    (tmp_path / "KEY").chmod(0o644)
    assert converge(folder, dry=False).changed == [str(tmp_path / "KEY")]
    assert mode(tmp_path / "KEY") == 0o600


def test_a_link_is_replaced_and_what_it_pointed_to_stays(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text("kept")
    (tmp_path / "unit").symlink_to(tmp_path / "elsewhere")
    converge(Folder(tmp_path, {"unit": "new"}, mode=mode(tmp_path)), dry=False)
    assert not (tmp_path / "unit").is_symlink()
    assert (tmp_path / "elsewhere").read_text() == "kept"


def test_a_file_that_is_being_read_keeps_its_content(tmp_path: Path) -> None:
    folder = Folder(tmp_path, {"KEY": "old"}, mode=mode(tmp_path))
    converge(folder, dry=False)
    with (tmp_path / "KEY").open() as reader:
        converge(Folder(tmp_path, {"KEY": "new"}, mode=mode(tmp_path)), dry=False)
        assert reader.read() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["KEY"]


def test_what_is_surplus_can_be_named_and_left(tmp_path: Path) -> None:
    (tmp_path / "old.env").write_text("")
    folder = Folder(tmp_path, {"new.env": ""}, mode=mode(tmp_path), exactly=("*.env",))
    assert surplus(folder) == [tmp_path / "old.env"]


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def staged(tmp_path: Path, **files: str) -> Folder:
    named = {f"{name}.env": content for name, content in files.items()}
    return Folder(tmp_path / "in-use", named, exactly=("*.env",), stage=tmp_path / "next")


def test_what_differs_waits_beside_what_is_in_use_and_nothing_in_use_changes(tmp_path: Path) -> None:
    converge(Folder(tmp_path / "in-use", {"a.env": "1", "b.env": "1", "gone.env": "1"}), dry=False)
    folder = staged(tmp_path, a="1", b="2")
    assert converge(folder, dry=True).paths() == {str(tmp_path / "in-use/b.env")}
    assert not (tmp_path / "next").exists()
    assert converge(folder, dry=False)
    assert {path.name: path.read_text() for path in (tmp_path / "next").iterdir()} == {"a.env": "1", "b.env": "2"}
    assert names(tmp_path / "in-use") == ["a.env", "b.env", "gone.env"]
    assert (tmp_path / "in-use/b.env").read_text() == "1"


def test_what_a_broken_run_staged_is_replaced_and_goes_when_nothing_differs_any_more(tmp_path: Path) -> None:
    converge(Folder(tmp_path / "in-use", {"a.env": "1"}), dry=False)
    converge(staged(tmp_path, a="2", b="2"), dry=False)
    converge(staged(tmp_path, a="3"), dry=False)
    assert names(tmp_path / "next") == ["a.env"]
    assert converge(staged(tmp_path, a="1"), dry=False).removed == [str(tmp_path / "next/a.env")]
    assert not (tmp_path / "next").exists()
    assert not converge(staged(tmp_path, a="1"), dry=False)


def test_what_is_made_from_files_is_made_again_only_when_it_is_older(tmp_path: Path) -> None:
    made = tmp_path / "bundle"
    folder = Folder(tmp_path / "cas", {"our.crt": "a"}, made=made, make=("touch", str(made)))
    assert str(made) in converge(folder, dry=True).changed
    assert str(made) in converge(folder, dry=False).changed
    assert not converge(folder, dry=False)
    # A run was killed after it wrote the file.
    os.utime(made, (1, 1))
    assert converge(folder, dry=True).changed == [str(made)]
    assert converge(folder, dry=False).changed == [str(made)]
    assert not converge(folder, dry=False)


def test_what_cannot_be_made_is_a_failure(tmp_path: Path) -> None:
    folder = Folder(tmp_path, {"our.crt": "a"}, made=tmp_path / "bundle", make=("sh", "-c", "echo no >&2; exit 1"))
    with pytest.raises(ContentRefused, match="bundle: sh says no; mend it on the host"):
        converge(folder, dry=False)
