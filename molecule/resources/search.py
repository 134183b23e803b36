"""Searches a server for texts that nobody but root may see there, and says where it found them.

Runs there with the system's Python: `{"texts": {name: text}, "folders": [...], "readers": "all"|"root"}` in JSON
on stdin → `{"files": {path: [name]}, "processes": …, "units": …, "journal": [name]}` on stdout.
"""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

MOST_BYTES = 16 * 1024 * 1024


def names_in(content: bytes, texts: dict[str, str]) -> list[str]:
    return [name for name, text in texts.items() if text.encode() in content]


def readable_files(folder: str, everything: bool) -> Iterator[Path]:
    """Regular files below a folder that every user can reach and read; with `everything`, all of them."""
    for parent, folders, files in os.walk(folder):
        try:
            if not everything and not Path(parent).stat().st_mode & stat.S_IXOTH:
                folders.clear()
                continue
            for file in files:
                path = Path(parent, file)
                status = path.lstat()
                is_open = everything or status.st_mode & stat.S_IROTH
                if stat.S_ISREG(status.st_mode) and is_open and status.st_size <= MOST_BYTES:
                    yield path
        except FileNotFoundError:
            continue


def found_in_files(folders: list[str], texts: dict[str, str], everything: bool) -> dict[str, list[str]]:
    found = {}
    for folder in folders:
        for path in readable_files(folder, everything):
            try:
                names = names_in(path.read_bytes(), texts)
            except OSError:
                continue
            if names:
                found[str(path)] = names
    return found


def found_in_processes(texts: dict[str, str]) -> dict[str, list[str]]:
    """Arguments of processes, and the environments that systemd gave them."""
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        for part in ("cmdline", "environ"):
            try:
                names = names_in((process / part).read_bytes(), texts)
            except OSError:
                continue
            if names:
                found[f"{process / part} ({(process / 'comm').read_text().strip()})"] = names
    return found


def output_of(*command: str) -> bytes:
    return subprocess.run(command, capture_output=True, check=True).stdout


def found_in_units(texts: dict[str, str]) -> dict[str, list[str]]:
    shown = output_of("systemctl", "show", "--all", "*").split(b"\n\n")
    found = {}
    for unit in shown:
        if names := names_in(unit, texts):
            name = next((line for line in unit.splitlines() if line.startswith(b"Id=")), b"?")
            found[name.decode()] = names
    return found


def main() -> None:
    question = json.load(sys.stdin)
    texts = question["texts"]
    answer = {
        "files": found_in_files(question["folders"], texts, question["readers"] == "root"),
        "processes": found_in_processes(texts),
        "units": found_in_units(texts),
        "journal": names_in(output_of("journalctl", "--no-pager", "--all", "--output=export"), texts),
    }
    print(json.dumps(answer))


main()
