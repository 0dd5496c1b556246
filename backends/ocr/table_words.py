"""Words of tables in several languages: column headings, and lines that are no rows. Knows no place on a page."""

from __future__ import annotations

import re
import tomllib
from functools import cache, lru_cache
from importlib.resources import files
from typing import Any, Literal

from router.normalise import fold

LineKind = Literal["sum", "payment", "discount", "carry", "balance", "item"]
_TOKEN = re.compile(r"[^\W\d_]+(?:[-'’][^\W\d_]+)*", re.UNICODE)
_SIGNS = frozenset("#@%")
_CURRENCY_CODES = (
    "rm eur usd aud gbp sgd myr chf inr nzd cad sek nok dkk pln zar aed euro euros rs fr kr a$ s$ hk$ us$ nz$"
)
_CURRENCY = frozenset(_CURRENCY_CODES.split())
_NO_KINDS = ("fillers", "first")
_MAX_SUM_WORDS = 5


@cache
def _data() -> dict[str, Any]:
    return tomllib.loads((files("backends.ocr.data") / "table_headers.toml").read_text("utf-8"))


def column_labels(column: str) -> tuple[str, ...]:
    """Return the heading words of a column of the built-in schemas, empty for any other."""
    return tuple(_data()["columns"].get(column, ()))


def other_labels() -> dict[str, tuple[str, ...]]:
    """Return the heading words of columns that no built-in schema asks for."""
    return {name: tuple(labels) for name, labels in _data()["others"].items()}


@lru_cache(maxsize=16384)
def fold_label(text: str) -> str:
    """Return a heading without case, accents, punctuation and currency; a sign that is a word of its own stays."""
    words = [w for w in re.split(r"[\s(){}\[\]]+", text) if fold(w) not in _CURRENCY]
    return "".join(fold(w) or (w if w in _SIGNS else "") for w in words)


def has_words(text: str) -> bool:
    """Return whether a line has words other than currencies and single letters."""
    return any(len(w) > 1 and w not in _CURRENCY for w in (fold(t) for t in _TOKEN.findall(text)))


@cache
def _line_words() -> dict[str, frozenset[str]]:
    return {kind: frozenset(fold(w) for w in words) for kind, words in _data()["lines"].items()}


@lru_cache(maxsize=8192)
def line_kind(text: str) -> LineKind:
    """Return what a line is, by its words: every one must be known, and at least one must tell the kind."""
    known = _line_words()
    words = [w for w in (fold(t) for t in _TOKEN.findall(text)) if len(w) > 1 and w not in _CURRENCY]
    if not words:
        return "item"
    if words[0] in known["first"] and len(words) <= _MAX_SUM_WORDS:
        return "sum"
    kinds = {w: _kinds(w) for w in words}
    unknown = [w for w in words if not kinds[w] and not _is_filler(w)]
    if len("".join(unknown)) > 2 and len(unknown) * 4 > len(words):
        return "item"
    told: tuple[LineKind, ...] = ("carry", "discount", "sum", "payment", "balance")
    return next((kind for kind in told if any(kind in kinds[w] for w in words)), "item")


@lru_cache(maxsize=8192)
def _kinds(word: str) -> frozenset[str]:
    """Return the kinds of line a word tells of; a word of six letters or more may have one letter wrong."""
    known = _line_words()
    exact = frozenset(kind for kind, words in known.items() if kind not in _NO_KINDS and word in words)
    if exact or len(word) < 6 or word in known["fillers"]:
        return exact
    return frozenset(
        kind for kind, words in known.items() if kind not in _NO_KINDS and any(close(word, w) for w in words)
    )


@lru_cache(maxsize=8192)
def _is_filler(word: str) -> bool:
    fillers = _line_words()["fillers"]
    return word in fillers or (len(word) >= 7 and any(close(word, f) for f in fillers))


def close(a: str, b: str) -> bool:
    """Return whether two words of five letters or more differ by one letter (two from ten letters on).

    The first letter or the last two must be the same.
    """
    if min(len(a), len(b)) < 5 or (a[0] != b[0] and a[-2:] != b[-2:]):
        return a == b
    allowed = 2 if min(len(a), len(b)) >= 10 else 1
    return abs(len(a) - len(b)) <= allowed and distance(a, b, allowed) <= allowed


def distance(a: str, b: str, limit: int) -> int:
    """Return the Levenshtein distance, or `limit + 1` where it is larger."""
    row = list(range(len(b) + 1))
    for i, letter in enumerate(a, 1):
        above, row[0] = row[0], i
        for j, other in enumerate(b, 1):
            above, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, above + (letter != other))
        if min(row) > limit:
            return limit + 1
    return row[-1]
