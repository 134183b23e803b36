"""Finds the word that a misspelt one was meant to be, as the chart's templates/description/_near.tpl does."""

from __future__ import annotations

from collections.abc import Iterable

# Of a hundred, how many pairs of letters must be the same.
LIKENESS = 60


def near(word: str, words: Iterable[str]) -> str | None:
    """The most alike of the words, the first by alphabet of equally alike ones; None when none is alike enough."""
    likeness, guess = min(((-alike(word, other), other) for other in words), default=(0, ""))
    return guess if -likeness >= LIKENESS else None


def alike(one: str, other: str) -> int:
    """Sørensen and Dice: twice the pairs of letters that both have, in a hundred of all their pairs."""
    pairs, others = letter_pairs(one), letter_pairs(other)
    return 200 * len(pairs & others) // (len(pairs) + len(others))


def letter_pairs(word: str) -> set[str]:
    """The beginning and the end count as letters; `_`, `-` and capitals make no difference."""
    letters = f"^{word.lower().replace('_', '').replace('-', '')}$"
    return {letters[index : index + 2] for index in range(len(letters) - 1)}
