"""Reading one file: plain data with lines, and a line for everything that is not a description."""

from __future__ import annotations

import os
import pwd
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.stalk.celery.plugins.module_utils.description.documents import LARGEST_FILE, read_document
from ansible_collections.stalk.celery.plugins.module_utils.description.problems import Refused


def read(folder: Path, text: str | bytes) -> dict[str, Any]:
    content = text.encode() if isinstance(text, str) else text
    (folder / "stack.yml").write_bytes(content)
    return read_document("stack.yml", folder).values


def refusal(folder: Path, name: str = "stack.yml") -> str:
    with pytest.raises(Refused) as refused:
        read_document(name, folder)
    (line,) = refused.value.lines
    return line


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("5", 5),
        ("4.0", 4),
        ("1e3", 1000),
        ("2.5", 2.5),
        ("1_000", 1000),
        ("0x1f", 31),
        ("0o17", 15),
        ("017", 15),
        ("08", 8),
        ("_", "_"),
        ("yes", True),
        ("Off", False),
        ("y", True),
        ("N", False),
        ("~", None),
        ("", None),
        ('""', ""),
        ('"5"', "5"),
        ("'null'", "null"),
        ("2024-01-31", "2024-01-31"),
        ("1:30", "1:30"),
        ("=", "="),
        ("|\n  two\n  lines", "two\nlines\n"),
    ],
)
def test_scalars_mean_what_helm_reads(tmp_path: Path, written: str, value: object) -> None:
    found = read(tmp_path, f"key: {written}\n")["key"]
    assert found == value
    assert type(found) is type(value)


def test_keys_become_text(tmp_path: Path) -> None:
    assert read(tmp_path, "7: a\ntrue: b\n1.5: c\n") == {"7": "a", "true": "b", "1.5": "c"}


def test_anchors_and_merges_are_ordinary_yaml(tmp_path: Path) -> None:
    text = "a: &a {x: 1, z: 2}\nb: {<<: *a, z: 3}\nc: *a\nd: {z: 4, <<: [{w: 5}, *a]}\n"
    assert read(tmp_path, text) == {
        "a": {"x": 1, "z": 2},
        "b": {"x": 1, "z": 3},
        "c": {"x": 1, "z": 2},
        "d": {"x": 1, "z": 4, "w": 5},
    }


def test_every_key_knows_its_line(tmp_path: Path) -> None:
    (tmp_path / "stack.yml").write_text("# a comment\npools:\n  high:\n    queues: [a]\n")
    lines = read_document("stack.yml", tmp_path).lines
    assert lines == {("pools",): 2, ("pools", "high"): 3, ("pools", "high", "queues"): 4}


def test_a_byte_order_mark_is_no_text(tmp_path: Path) -> None:
    assert read(tmp_path, b"\xef\xbb\xbfapp: 1\n") == {"app": 1}


def test_windows_line_ends_are_read(tmp_path: Path) -> None:
    assert read(tmp_path, b"app: 1\r\nweb: 2\r\n") == {"app": 1, "web": 2}


def test_a_missing_file(tmp_path: Path) -> None:
    assert refusal(tmp_path) == f"stack.yml: no such file in {tmp_path}; correct the name in stack_files"


def test_a_folder(tmp_path: Path) -> None:
    (tmp_path / "stack.yml").mkdir()
    assert refusal(tmp_path) == "stack.yml: is a folder; name a file, for example stack.yml/stack.yml"


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "stack.yml")
    assert refusal(tmp_path) == "stack.yml: is no regular file; name a YAML file"


def test_a_file_as_a_folder(tmp_path: Path) -> None:
    (tmp_path / "stack.yml").write_text("")
    assert refusal(tmp_path, "stack.yml/x") == ('"stack.yml/x": Not a directory; correct the name in stack_files')


@pytest.mark.parametrize("name", ["a\0b", "x" * 300])
def test_a_name_that_no_file_can_have(tmp_path: Path, name: str) -> None:
    line = refusal(tmp_path, name)
    assert line.endswith("; correct the name in stack_files")
    assert "\0" not in line


@pytest.fixture
def nobody() -> Iterator[None]:
    """For root may read everything."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(pwd.getpwnam("nobody").pw_uid)
    yield
    os.seteuid(before)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        (Path(folder) / "stack.yml").write_text("app: {}")
        (Path(folder) / "stack.yml").chmod(0)
        yield Path(folder)


def test_a_file_that_may_not_be_read(open_folder: Path, nobody: None) -> None:
    assert refusal(open_folder) == "stack.yml: may not be read by this user; run `chmod u+r` on it or change user"


def test_a_file_that_is_too_large(tmp_path: Path) -> None:
    (tmp_path / "stack.yml").write_text("#" * (LARGEST_FILE + 1))
    assert refusal(tmp_path) == f"stack.yml: has {LARGEST_FILE + 1} bytes; a description has at most {LARGEST_FILE}"


def test_a_file_of_another_encoding(tmp_path: Path) -> None:
    (tmp_path / "stack.yml").write_bytes("app:\n  name: bücher\n".encode("latin-1"))
    assert refusal(tmp_path) == "stack.yml:2: is not UTF-8; save it as UTF-8"


def test_a_binary_file(tmp_path: Path) -> None:
    (tmp_path / "stack.yml").write_bytes(b"\x7fELF\x00\x01\x02")
    assert refusal(tmp_path) == "stack.yml:1:1: the character U+007F may not stand in YAML; remove it"


def test_all_problems_of_a_file_are_found_at_once(tmp_path: Path) -> None:
    (tmp_path / "stack.yml").write_text("a: .nan\nb: !x 1\nc: 1\nc: 2\n")
    with pytest.raises(Refused) as refused:
        read_document("stack.yml", tmp_path)
    assert len(refused.value.lines) == 3


def test_the_name_may_be_absolute_or_in_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "stack.yml").write_text("app: 1\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    elsewhere = Path("/")
    assert read_document(str(tmp_path / "stack.yml"), elsewhere).values == {"app": 1}
    assert read_document("~/stack.yml", elsewhere).values == {"app": 1}
