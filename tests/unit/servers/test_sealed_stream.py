"""What a pipe of commands says when one of them fails."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from ansible_collections.stalk.celery.plugins.module_utils.sealed_stream import (
    BLOCK,
    CommandFailed,
    blocks,
    check_space,
    offered,
    running,
)


def shell(script: str) -> list[str]:
    return ["sh", "-c", script]


def read(script: str) -> list[bytes]:
    with running(shell(script), stdout=subprocess.PIPE) as command:
        assert command.stdout
        return list(blocks(command.stdout))


def write(script: str) -> None:
    with running(shell(script), stdin=subprocess.PIPE) as command:
        assert command.stdin
        command.wait()
        command.stdin.write(bytes(BLOCK))


def test_a_command_that_fails_at_its_end_says_why() -> None:
    assert read("echo all") == [b"all\n"]
    with pytest.raises(CommandFailed, match=r"^sh: no space; sorry$"):
        read("echo all; echo sh: no space >&2; echo sorry >&2; exit 1")


def test_one_that_ends_before_it_has_read_all_says_why() -> None:
    with pytest.raises(CommandFailed, match=r"^sh: ended with 3$"):
        write("exit 3")
    with pytest.raises(CommandFailed, match=r"^sh: ended with 0$"):
        write("exit 0")


def test_one_that_is_left_by_an_error_is_ended() -> None:
    with pytest.raises(KeyError), running(shell("exec sleep 600")) as command:
        raise KeyError
    assert command.returncode == -9


def test_a_reader_need_not_read_to_the_end() -> None:
    source = [bytes(BLOCK)] * 3
    with running(shell("head -c 1 >/dev/null"), stdin=subprocess.PIPE) as command:
        assert command.stdin
        passed_on = list(offered(source, command.stdin))
    assert passed_on == source


def test_what_has_no_space_is_told_with_both_numbers(tmp_path: Path) -> None:
    check_space(tmp_path, 0)
    with pytest.raises(CommandFailed, match=r"has \d+ \w+ free, and it takes 1000000\.0 TB$"):
        check_space(tmp_path, 10**18)
