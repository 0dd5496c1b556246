"""A piece of a nested answer: what JSON, a Python literal and tags have in common. Knows structure, not fields."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal


@dataclass
class Piece:
    """`start` to `end` is the content: of a text without its quotes; an object's members have keys, a list's none.

    `closed` is False where the text ended before the piece did; such a text is no value.
    """

    kind: Literal["object", "list", "text"]
    start: int
    end: int
    members: list[tuple[str, Piece]] = field(default_factory=list)
    closed: bool = True
    quoted: bool = False

    def get(self, *keys: str) -> Piece | None:
        """Return the member under the first of these keys, in any case."""
        named = {key.strip().lower(): piece for key, piece in reversed(self.members)}
        return next((named[key] for key in keys if key in named), None)
