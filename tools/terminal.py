"""What a person at the terminal reads."""

from __future__ import annotations


def say(text: str) -> None:
    """The heading of a step."""
    print(f"\033[1m==>\033[0m {text}", flush=True)
