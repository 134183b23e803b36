"""What lets people into Flower, as the secret that flower.auth.secret names gives it."""

from __future__ import annotations

import re
from collections.abc import Iterator

USERS = re.compile(r"\s*(#.*|[!-9;-~]+:[!-~]+)?\s*")
OAUTH_LINES = ("oauth2_key", "oauth2_secret")


def flower_refusals(kind: str, name: str, content: str) -> Iterator[tuple[str, str]]:
    """Reason and remedy of each, for `flower.auth.kind`. They never repeat the content."""
    if kind == "basic":
        for number, line in enumerate(content.splitlines(), 1):
            if not USERS.fullmatch(line):
                yield f"line {number} of the secret {name} is not user:password in ASCII", "correct it in the secret"
        return
    absent = [key for key in OAUTH_LINES if not re.search(rf"^{key}=\S+$", content, re.MULTILINE)]
    if absent:
        yield (
            f"the secret {name} has no line {absent[0]}=…, which oauth needs",
            "write the lines oauth2_key=… and oauth2_secret=… into it",
        )
