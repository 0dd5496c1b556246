"""Which tokens said a piece of an answer. Knows pieces of text and their places; no fields and no model."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import accumulate


class TokenSpans:
    """The places of an answer's tokens in its text; `tokens` joined are the text."""

    def __init__(self, tokens: Sequence[str]) -> None:
        ends = list(accumulate(len(token) for token in tokens))
        self._starts = [end - len(token) for token, end in zip(tokens, ends, strict=True)]
        # a character of several tokens is the text of its last one: the earlier, empty ones lie where that one lies
        self._ends = ends
        for place in range(len(tokens) - 2, -1, -1):
            if not tokens[place]:
                self._ends[place] = self._ends[place + 1]

    def saying(self, start: int, end: int) -> range:
        """Return the places of the tokens that say text[start:end], those that say only a part of it included."""
        return range(bisect_right(self._ends, start), max(bisect_left(self._starts, end), 0))

    def deciding(self, start: int, end: int) -> range:
        """Return the places of the tokens that decide text[start:end]: those that say it and the one that ends it.

        That a value stops where it does is said by what comes next, a line's end or the end of the answer.
        """
        own = self.saying(start, end)
        ends_inside = len(own) > 0 and self._ends[own[-1]] > end
        return own if ends_inside or own.stop >= len(self._ends) else range(own.start, own.stop + 1)
