"""Repairs words that OCR misread, when a known word lies within reach of the recogniser's own second guesses.

Knows characters that look alike; must not know fields. A vocabulary is a set of words in capitals without accents. A
repair is a proposal: it becomes a second candidate beside what was read, and the scorer decides.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from backends.ocr.layout import Segment

_TOKEN = re.compile(r"[^\W_]+(?:[!|][^\W_]*)?")
_NUMBER_WITH_LETTER = re.compile(r"(?<![A-Za-z])[A-Z]?\d+[OoIl]+\d*(?![A-Za-z0-9])")
_SENDIRIAN_BERHAD = re.compile(r"(?<![A-Za-z0-9])(S)[DO0Q](N\.?) ?\.?(B[HN])[DOU0](?![A-Za-z0-9])")
_SHORT_FORM = re.compile(r"(?<![A-Za-z0-9])[5S]/[B8](?![A-Za-z0-9])")
_DIGITS_FOR = str.maketrans("OoIl", "0011")
_LOOK_ALIKE = {
    "0": "OQD", "1": "ILT", "5": "S", "8": "B", "2": "Z", "6": "G", "4": "A", "O": "0QDCU", "I": "1LJT", "L": "1I",
    "S": "58", "B": "8R", "Z": "2", "G": "6C", "D": "O0", "J": "I", "N": "MH", "M": "N", "H": "NM", "U": "VO", "V": "U",
    "E": "FC", "F": "E",
    "C": "GO", "R": "K", "K": "R", "T": "1IY", "Y": "T", "A": "4", "!": "IL", "|": "IL", "Q": "O",
}  # fmt: skip
_LOOK_ALIKE_LOG_PROBABILITY = math.log(0.02)
_MIN_LENGTH = 3
_MAX_LENGTH = 16


@dataclass(frozen=True)
class Repair:
    """A repaired text and how many characters changed. `cost`: the log-probability given up, 0 or negative."""

    text: str
    edits: int
    cost: float


def plain(text: str) -> str:
    """Return the text without accents, each character still one character."""
    return text if text.isascii() else "".join(_base(c) for c in text)


def _capitals(text: str) -> str:
    """Capitals, each still one character ("ß" stays)."""
    return "".join(u if len(u := c.upper()) == 1 else c for c in text)


def _base(character: str) -> str:
    return unicodedata.normalize("NFD", character)[0]


def unknown_share(text: str, vocabulary: frozenset[str]) -> float:
    """Return the share of letters that stand in words of three and more letters outside the vocabulary."""
    words = re.findall(r"[^\W\d_]{3,}", plain(text).upper())
    letters = sum(map(len, words))
    return sum(len(w) for w in words if w not in vocabulary) / letters if letters else 0.0


@dataclass(frozen=True)
class RepairedSegment:
    """A segment's repaired text, character by character as long as what was read; `costs` is 0 where it stayed."""

    read: str
    text: str
    costs: tuple[float, ...]
    changed: bool


def repair_segments(
    segments: Iterable[Segment], keep_accents: bool, vocabulary: frozenset[str]
) -> tuple[RepairedSegment, ...]:
    """Return every segment repaired. Without `keep_accents` an accent counts as misread."""
    return tuple(_repair_segment(segment, keep_accents, vocabulary) for segment in segments)


def repair_of(spans: Iterable[tuple[int, int, int]], repaired: Sequence[RepairedSegment]) -> Repair | None:
    """Return the repaired text of spans (segment, start, end) joined by blanks, None where nothing changed."""
    parts, edits, cost = [], 0, 0.0
    for index, start, end in spans:
        segment = repaired[index]
        parts.append(segment.text[start:end].strip())
        if segment.changed:
            edits += sum(a != b for a, b in zip(segment.read[start:end], segment.text[start:end], strict=True))
            cost += sum(segment.costs[start:end])
    return Repair(" ".join(parts), edits, cost) if edits else None


def _repair_segment(segment: Segment, keep_accents: bool, vocabulary: frozenset[str]) -> RepairedSegment:
    text = segment.text if keep_accents else plain(segment.text)
    text = _NUMBER_WITH_LETTER.sub(lambda m: m[0][0] + m[0][1:].translate(_DIGITS_FOR), text)
    text = _SHORT_FORM.sub("S/B", text)
    text = _SENDIRIAN_BERHAD.sub(lambda m: _keep_length(m[0], "SDN BHD"), text)
    characters, costs = list(text), [0.0] * len(text)
    for match in _TOKEN.finditer(text):
        better = _repair_word(match[0], segment, match.start(), vocabulary)
        if better is not None:
            characters[match.start() : match.end()] = better.text
            costs[match.start()] = better.cost
    repaired = "".join(characters)
    return RepairedSegment(segment.text, repaired, tuple(costs), repaired != segment.text)


def _keep_length(read: str, meant: str) -> str:
    """Return the letters of `meant` in the places of the letters of `read`, so that every character keeps its place."""
    letters = iter(c for c in meant if c.isalpha())
    return "".join(next(letters, c) if c.isalnum() else c for c in read)


def _guesses(segment: Segment, start: int, word: str) -> list[dict[str, float]]:
    """For each character of a word, what else it could be, with log-probabilities relative to what was read."""
    guesses = []
    for k, character in enumerate(word):
        options = dict.fromkeys(_LOOK_ALIKE.get(character.upper(), ""), _LOOK_ALIKE_LOG_PROBABILITY)
        if segment.runners_up:
            second, probability = (
                _capitals(plain(segment.runners_up[start + k])),
                segment.runner_up_confidences[start + k],
            )
            chosen = max(segment.character_confidences[start + k], 1e-3)
            if second.isalnum() and second != character.upper() and probability > 1e-3:
                log_ratio = math.log(probability / chosen)
                options[second] = max(log_ratio, options.get(second, log_ratio))
        guesses.append(options)
    return guesses


def _repair_word(word: str, segment: Segment, start: int, vocabulary: frozenset[str]) -> Repair | None:
    """Return the likeliest known word within two replaced characters, or None (also when the word is known already)."""
    upper = _capitals(plain(word))
    letters = sum(c.isalpha() for c in upper)
    if not _MIN_LENGTH <= len(upper) <= _MAX_LENGTH or letters < 2 or upper in vocabulary:
        return None
    guesses = _guesses(segment, start, word)
    single = [
        (upper[:k] + c + upper[k + 1 :], cost, k) for k, options in enumerate(guesses) for c, cost in options.items()
    ]
    known = [(cost, 1, candidate) for candidate, cost, _ in single if candidate in vocabulary]
    if not known and len(upper) >= 5:
        known = [
            (cost + more, 2, candidate[:k] + c + candidate[k + 1 :])
            for candidate, cost, first in single
            for k in range(first + 1, len(upper))
            for c, more in guesses[k].items()
            if candidate[:k] + c + candidate[k + 1 :] in vocabulary
        ]
    if not known:
        return None
    cost, edits, best = max(known)
    return Repair(_like(word, best), edits, cost)


def _like(word: str, repaired: str) -> str:
    """Return the repaired word in the case of the one read."""
    if word.isupper() or sum(c.isupper() for c in word) > len(word) / 2:
        return repaired
    return repaired.capitalize() if word[0].isupper() or not word[0].isalpha() else repaired.lower()
