"""Reads one description file: plain data of YAML, with the line of every key and without surprises.

Values are those that Helm reads (sigs.k8s.io/yaml): JSON types only, keys are strings. What YAML allows and
a description cannot mean (two equal keys, several documents, tags, endless aliases) is refused.
"""

from __future__ import annotations

import math
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path as File
from typing import Any

import yaml
from ansible_collections.stalk.celery.plugins.module_utils.description.problems import (
    Path,
    Refused,
    dotted,
    one_line,
    quoted,
)

LARGEST_FILE = 128 * 1024
MOST_VALUES = 20_000
DEEPEST = 40
LARGEST_NUMBER = 2**53

WRITTEN_INTEGER = re.compile(r"[-+]?[0-9][0-9_]*|[-+]?0x[0-9a-fA-F_]+|[-+]?0o[0-7_]+|[-+]?0b[01_]+")
WRITTEN_FLOAT = re.compile(r"[-+]?(?:[0-9][0-9_]*\.?[0-9_]*|\.[0-9][0-9_]*)(?:[eE][-+]?[0-9]+)?")
WRITTEN_NO_NUMBER = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
TRUE = {"y", "Y", "true", "True", "TRUE", "yes", "Yes", "YES", "on", "On", "ON"}
FALSE = {"n", "N", "false", "False", "FALSE", "no", "No", "NO", "off", "Off", "OFF"}
NULL = {"", "~", "null", "Null", "NULL"}


@dataclass(frozen=True)
class Document:
    """The values of one file and the line on which each path is written."""

    name: str
    values: dict[str, Any]
    lines: dict[Path, int] = field(default_factory=dict)


def read_document(name: str, folder: File) -> Document:
    """Raises Refused with one line for each problem."""
    text = read_text(name, folder / File(name).expanduser())
    try:
        return Reader(name).document(text)
    except yaml.MarkedYAMLError as error:
        raise Refused([broken(name, error)]) from None
    except yaml.reader.ReaderError as error:
        line, column = position(text, int(error.position))
        code = error.character if isinstance(error.character, int) else ord(error.character[:1] or "\0")
        raise Refused(
            [f"{name}:{line}:{column}: the character U+{code:04X} may not stand in YAML; remove it"]
        ) from None


def read_text(name: str, path: File) -> str:
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise Refused([f"{name}: is a folder; name a file, for example {File(name) / 'stack.yml'}"])
        if not stat.S_ISREG(status.st_mode):
            raise Refused([f"{name}: is no regular file; name a YAML file"])
        if status.st_size > LARGEST_FILE:
            raise Refused([f"{name}: has {status.st_size} bytes; a description has at most {LARGEST_FILE}"])
        return path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise Refused([f"{name}: no such file in {path.parent}; correct the name in stack_files"]) from None
    except PermissionError:
        raise Refused([f"{name}: may not be read by this user; run `chmod u+r` on it or change user"]) from None
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise Refused([f"{name}:{line}: is not UTF-8; save it as UTF-8"]) from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "is no file name"
        raise Refused([f"{quoted(name)}: {reason}; correct the name in stack_files"]) from None


def position(text: str, index: int) -> tuple[int, int]:
    before = text[:index]
    return before.count("\n") + 1, index - (before.rfind("\n") + 1) + 1


def broken(name: str, error: yaml.MarkedYAMLError) -> str:
    mark = error.problem_mark or error.context_mark
    where = f"{name}:{mark.line + 1}:{mark.column + 1}" if mark else name
    problem = error.problem or error.context or "is not YAML"
    remedy = "correct the YAML"
    if "'\\t'" in problem:
        problem, remedy = "a tab cannot indent YAML", "use spaces"
    elif "undefined alias" in problem:
        remedy = "define the anchor with & above the line that uses it"
    elif "mapping values are not allowed" in problem:
        remedy = "check the indentation, and quote a value that holds a colon"
    elif "end of stream" in problem or "<stream end>" in problem:
        remedy = "close the quote or bracket that is open"
    elif "<block mapping start>" in problem or "<block sequence start>" in problem:
        problem, remedy = "the line is indented as no line above it", "align it with the keys that it belongs to"
    return one_line(f"{where}: {problem}; {remedy}")


class Reader:
    """Turns the nodes of one file into plain data."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.lines: dict[Path, int] = {}
        self.problems: list[str] = []
        self.values = 0

    def document(self, text: str) -> Document:
        self.refuse_events(text)
        loader: Any = yaml.SafeLoader(text)
        try:
            node = loader.get_node() if loader.check_node() else None
            if node is None or (isinstance(node, yaml.ScalarNode) and node.value in NULL and not node.style):
                raise Refused([f"{self.name}: is empty; write a description, or leave the file out of stack_files"])
            if loader.check_node():
                line = self.mark(loader.peek_event())
                raise Refused(
                    [f"{self.name}:{line}: a second document begins; keep one, and give the others files of their own"]
                )
        finally:
            loader.dispose()
        if not isinstance(node, yaml.MappingNode):
            kind = "a list" if isinstance(node, yaml.SequenceNode) else "a single value"
            raise Refused(
                [f"{self.name}: is {kind}, not a map of keys; begin with lines such as `app: {{name: shop}}`"]
            )
        values = self.read(node, (), ())
        if self.problems:
            raise Refused(self.problems)
        return Document(self.name, values, self.lines)

    def refuse_events(self, text: str) -> None:
        """What has to be seen before nodes are composed, which recurses with the depth and forgets written tags."""
        depth = 0
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            if isinstance(event, yaml.CollectionStartEvent):
                depth += 1
            elif isinstance(event, yaml.CollectionEndEvent):
                depth -= 1
            if depth > DEEPEST:
                raise Refused(
                    [f"{self.name}:{self.mark(event)}: is nested more than {DEEPEST} levels deep; no key is that deep"]
                )
            tag = getattr(event, "tag", None)
            if tag:
                self.problems.append(f"{self.name}:{self.mark(event)}: {self.about_tag(tag)}")

    @staticmethod
    def about_tag(tag: str) -> str:
        if tag == "!vault":
            return "a description holds no secrets, not even encrypted; put it into stalk_secrets"
        shown = tag.replace("tag:yaml.org,2002:", "!!")
        return f"the tag {quoted(shown)} is not plain YAML; remove it, and quote what is text"

    @staticmethod
    def mark(thing: Any) -> int:
        return int(thing.start_mark.line) + 1

    def refuse(self, node: yaml.Node, path: Path, reason: str) -> None:
        where = f"{dotted(path)}: " if path else ""
        self.problems.append(one_line(f"{self.name}:{self.mark(node)}: {where}{reason}"))

    def read(self, node: yaml.Node, path: Path, above: tuple[int, ...]) -> Any:
        self.values += 1
        if self.values > MOST_VALUES:
            raise Refused(
                [f"{self.name}: aliases expand it to more than {MOST_VALUES} values; write out what you mean"]
            )
        if id(node) in above:
            self.refuse(node, path, "an alias refers to the value it stands in; write the value out")
            return None
        if isinstance(node, yaml.MappingNode):
            return self.read_map(node, path, (*above, id(node)))
        if isinstance(node, yaml.SequenceNode):
            return [self.read(item, (*path, index), (*above, id(node))) for index, item in enumerate(node.value)]
        return self.read_scalar(node, path) if isinstance(node, yaml.ScalarNode) else None

    def read_map(self, node: yaml.MappingNode, path: Path, above: tuple[int, ...]) -> dict[str, Any]:
        values: dict[str, Any] = {}
        own: dict[str, int] = {}
        for key_node, value_node in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                for key, value in self.read_merged(value_node, path, above):
                    values.setdefault(key, value)
                continue
            if not isinstance(key_node, yaml.ScalarNode):
                self.refuse(key_node, path, "a map or a list stands where a key must; write text with { or [ in quotes")
                continue
            name = self.read_key(key_node, path)
            if name is None:
                continue
            line = self.mark(key_node)
            if name in own:
                twice = f"the key is written a second time, first on line {own[name]}; keep one of them"
                self.refuse(key_node, (*path, name), twice)
                continue
            own[name] = line
            self.lines[(*path, name)] = line
            values[name] = self.read(value_node, (*path, name), above)
        return values

    def read_merged(self, node: yaml.Node, path: Path, above: tuple[int, ...]) -> Iterator[tuple[str, Any]]:
        sources = node.value if isinstance(node, yaml.SequenceNode) else [node]
        for source in sources:
            merged = self.read(source, path, above)
            if isinstance(merged, dict):
                yield from merged.items()
            else:
                self.refuse(source, path, "`<<` takes an alias of a map; give it one such as `<<: *base`")

    def read_key(self, node: yaml.ScalarNode, path: Path) -> str | None:
        value = self.read_scalar(node, path)
        if isinstance(value, bool):
            return "true" if value else "false"
        if value is None:
            self.refuse(node, path, "a key is empty; give it a name")
            return None
        return str(value)

    def read_scalar(self, node: yaml.ScalarNode, path: Path) -> Any:
        return str(node.value) if node.style else self.resolve(node, path, node.value)

    def resolve(self, node: yaml.ScalarNode, path: Path, text: str) -> Any:
        if text in NULL:
            return None
        if text in TRUE or text in FALSE:
            return text in TRUE
        if WRITTEN_NO_NUMBER.fullmatch(text):
            self.refuse(node, path, f"{text} is no number that JSON has; write a finite number")
            return None
        number: int | float
        if WRITTEN_INTEGER.fullmatch(text) and len(text) < 30:
            number = integer(text)
        elif WRITTEN_INTEGER.fullmatch(text) or WRITTEN_FLOAT.fullmatch(text):
            number = float(text.replace("_", "")) if not text.lower().startswith(("0x", "0b", "0o")) else math.inf
            if number.is_integer():
                number = int(number) if abs(number) < LARGEST_NUMBER else number
        else:
            return text
        if abs(number) >= LARGEST_NUMBER:
            shown = text if len(text) <= 24 else f"{text[:20]}… ({len(text)} characters)"
            self.refuse(node, path, f"{shown} is too large a number; write one below 2^53, or quote it")
            return None
        return number


def integer(text: str) -> int:
    """As YAML 1.1 reads it: a leading zero makes it octal."""
    plain = text.replace("_", "")
    digits = plain.lstrip("+-")
    base = {"0x": 16, "0o": 8, "0b": 2}.get(digits[:2].lower())
    if base:
        return int(plain, base)
    if len(digits) > 1 and digits.startswith("0") and set(digits) <= set("01234567"):
        return int(plain, 8)
    return int(plain)
