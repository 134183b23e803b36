"""The shape that both targets are read into, and the languages that both write."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import unquote, urlsplit

Derived = dict[str, Any]

LIMITS_OF_NGINX = ("worker_shutdown_timeout", "client_max_body_size", "proxy_send_timeout", "proxy_read_timeout")


def options(words: Sequence[str]) -> dict[str, Any]:
    """A command line without the order of its options."""
    flags = [word for word in words if word.startswith("-")]
    return {
        "words": [word for word in words if not word.startswith("-")],
        **{name: value for name, _, value in (flag.partition("=") for flag in flags)},
    }


def settings(text: str) -> dict[str, str]:
    """Lines of `name value` or `name = value`, as Redis, PostgreSQL and OpenSSL read them."""
    lines = [line for line in map(str.strip, text.splitlines()) if line and not line.startswith(("#", "["))]
    found = (re.split(r"\s*=\s*|\s+", line, maxsplit=1) for line in lines)
    return {name: " ".join(shlex.split(value)) for name, value in found}


def site(text: str, host: str) -> dict[str, str]:
    """What nginx does for a host: `location / proxy_pass` to its value, and its limits for all. Each has
    a line of its own."""
    lines = [line for line in map(str.strip, text.splitlines()) if line and not line.startswith("#")]
    limits: dict[str, str] = {}
    servers: list[dict[str, str]] = []
    context: list[str] = []
    for line in lines:
        if line.endswith("{"):
            context.append(line.removesuffix("{").strip())
            if line.startswith("server"):
                servers.append({})
        elif line == "}":
            context.pop()
        else:
            directive, _, value = line.removesuffix(";").partition(" ")
            if "server" in context:
                servers[-1][" ".join([*context[context.index("server") + 1 :], directive])] = value
            elif directive in LIMITS_OF_NGINX:
                limits[directive] = value
    return limits | next(each for each in reversed(servers) if each.get("server_name") == host)


def acl(text: str, digests: Mapping[str, str]) -> dict[str, list[str]]:
    """Each user's rules; a digest is shown as the password that it belongs to. A selector is one rule."""
    found = {}
    for line in text.splitlines():
        if line.startswith("user "):
            _, name, rules = line.split(" ", 2)
            parts = re.findall(r"\([^)]*\)|\S+", rules)
            found[name] = [f"#{digests.get(part[1:], part[1:])}" if part[0] == "#" else part for part in parts]
    return found


def terms(text: str) -> dict[str, str]:
    """RabbitMQ's advanced.config: `{name, value}`, each on a line of its own."""
    return dict(re.findall(r"(?m)^  \{(\w+), (.*)\},?$", text))


def calls(text: str) -> dict[str, str]:
    """What a running RabbitMQ is told in Erlang: each function that begins a line, with all up to the next one."""
    code = re.sub(r"(?m)^%.*\n", "", text)
    return {name: " ".join(rest.split()) for name, rest in re.findall(r"(?ms)^\[?(\w+:\w+)(.*?)(?=^\S)", code)}


def definitions(text: str, passwords: Mapping[str, str]) -> dict[str, Any]:
    """RabbitMQ's users, rights, queues and policies by name; a digest is shown as the password that it belongs to."""
    parts = json.loads(text)
    for user in parts["users"]:
        user["password_hash"] = passwords.get(user["password_hash"], user["password_hash"])
    titles = {"permissions": ("user",), "bindings": ("source", "routing_key", "destination")}
    return {
        part: {" ".join(each[key] for key in titles.get(part, ("name",))): each for each in made}
        for part, made in parts.items()
    }


def address(text: str) -> dict[str, Any] | str:
    """The parts of a URL; of any other secret, that there is one."""
    parts = urlsplit(text)
    if not parts.hostname:
        return text if text == "django-db" else "given"
    return {
        "scheme": parts.scheme,
        "user": parts.username,
        "password": unquote(parts.password or ""),
        "host": parts.hostname,
        "port": parts.port,
        "path": parts.path,
        "query": parts.query,
    }


def flat(value: Any, path: str = "") -> dict[str, Any]:
    """`worker high/environment/SIZE` to its value."""
    if not isinstance(value, dict):
        return {path: value}
    return {
        below: found
        for key, each in value.items()
        for below, found in flat(each, f"{path}/{key}" if path else key).items()
    }
