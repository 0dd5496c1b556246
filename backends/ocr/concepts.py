"""Finds label words and what they mean, whatever their language. Knows text only: no page, no field.

Texts are compared folded: lower case, no accents, digits that OCR confuses with letters read as letters inside a word.
"""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections.abc import Iterable
from functools import cache, lru_cache
from importlib.resources import files

_CONFUSED = str.maketrans("0158", "olsb")


@cache
def concept_names() -> tuple[str, ...]:
    """Return the concepts' names, in the order of feature columns."""
    return tuple(_patterns())


@lru_cache(maxsize=16384)
def concepts_in(text: str) -> frozenset[str]:
    """Return the concepts that a text names."""
    folded = fold_label(text)
    if not any(c.isalpha() or c in "@#" for c in folded):
        return frozenset()
    return frozenset(name for name, pattern in _patterns().items() if pattern.search(folded))


def label_pattern(labels: Iterable[str]) -> re.Pattern[str]:
    """Return a pattern that finds any of the labels in a folded text; blanks and points in a label may be missing."""
    alternatives = sorted({_loose(fold_label(label)) for label in labels if label.strip()}, key=len, reverse=True)
    return re.compile(rf"(?<![a-z])(?:{'|'.join(alternatives)})(?![a-z])" if alternatives else r"(?!)")


@lru_cache(maxsize=16384)
def fold_label(text: str) -> str:
    """Return text as labels are compared: lower case, accents off, lone digits inside words read as letters."""
    plain = "".join(c for c in unicodedata.normalize("NFKD", text.lower()) if not unicodedata.combining(c))
    return re.sub(r"(?<=[a-z])[0158](?=[a-z])", lambda m: m[0].translate(_CONFUSED), plain)


def _loose(label: str) -> str:
    parts = [re.escape(p) for p in re.split(r"[\s.\-/]+", label) if p]
    return r"[\s.\-/:]*".join(parts)


@cache
def concept_words() -> frozenset[str]:
    """Return the words of all labels, in capitals without accents."""
    words = (w for group in _labels().values() for label in group for w in re.findall(r"[a-z]{2,}", fold_label(label)))
    return frozenset(w.upper() for w in words)


@cache
def _labels() -> dict[str, list[str]]:
    return tomllib.loads((files("backends.ocr.data") / "concepts.toml").read_text("utf-8"))


@cache
def _patterns() -> dict[str, re.Pattern[str]]:
    return {name: label_pattern(words) for name, words in _labels().items()}
