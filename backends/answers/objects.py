"""JSON as models write it -> pieces. Knows brackets, quotes and commas; no fields.

Read are also single quotes, bare words, Python's None, comments, missing and trailing commas, quotes inside a text. A
text whose quote is missing is broken and what follows is read on. Every character is looked at a bounded number of
times, depth is bounded, and a piece that the text ends in is not closed.
"""

from __future__ import annotations

import re

from backends.answers.piece import Piece

MAX_DEPTH = 24
MAX_PIECES = 200_000
_SKIP = re.compile(r"(?:[\s,;]|//[^\n]*|#[^\n]*|/\*[^*]{0,500}\*/)*")
_BARE_KEY = re.compile(r"[A-Za-z_][\w .#/()-]{0,63}?(?=\s{0,8}[:=])|\d{1,4}(?=\s{0,8}:)")
_COLON = re.compile(r"\s{0,8}(?:[:：]|=>?)\s{0,64}")
_BARE = re.compile(r"(?:[^,}\]\n]|(?<=\d),(?=\d{3}(?!\d)))*")
_BARE_COMMENT = re.compile(r"\s(?://|#|/\*)")
_STOPS = {q: re.compile(rf"\\.|{q}|\n", re.DOTALL) for q in "\"'"}
_CLOSES = re.compile(r"[ \t]{0,64}(?:[,}\]\n]|$|//|#|/\*|\([^()\"\n]{0,200}\)[ \t]{0,8}(?:[,}\]\n]|$))")
_CLOSES_KEY = re.compile(r"\s{0,8}(?:[:：]|=>)")
_NEXT_KEY = re.compile(r"\s{0,64}[\"'][^\"'\n]{1,64}[\"']\s{0,8}:")
_LOST = re.compile(r"[^,}\]\n]*")
_OPENS = re.compile(
    r"\{\s{0,64}(?:[\"'}{/#]|[A-Za-z_][\w .-]{0,63}:)|\{\s{0,64}$|\[\s{0,64}(?:[{\[\]\"'/#]|$)", re.ASCII
)


def opens(text: str, start: int) -> bool:
    """Return whether JSON may begin here."""
    return _OPENS.match(text, start) is not None


class ObjectReader:
    """Reads pieces of one text up to `end`; of more than `MAX_PIECES` pieces the rest is left out."""

    def __init__(self, text: str, end: int) -> None:
        self._text, self._end, self._left = text, end, MAX_PIECES

    def read(self, start: int, depth: int = 0) -> tuple[Piece, int]:
        """Return the piece that begins here and where reading goes on."""
        self._left -= 1
        first = self._text[start : start + 1]
        if self._left < 0 or depth > MAX_DEPTH:
            return Piece("text", start, self._end, closed=False), self._end
        if first == "{":
            return self._object(start, depth)
        if first == "[":
            return self._list(start, depth)
        if first in ('"', "'"):
            return self._string(start, _CLOSES)
        return self._bare(start)

    def read_all(self, start: int) -> tuple[Piece, int]:
        """Return the piece that begins here, or a list of the objects that follow each other without brackets."""
        piece, end = self.read(start)
        members = [("", piece)]
        while piece.closed and piece.kind == "object" and opens(self._text, following := self._skip(end)):
            if self._text[following] != "{":
                break
            piece, end = self.read(following)
            members.append(("", piece))
        if len(members) == 1:
            return piece, end
        return Piece("list", start, end, members, piece.closed), end

    def _object(self, start: int, depth: int) -> tuple[Piece, int]:
        piece, position = Piece("object", start, start, closed=False), start + 1
        while (position := self._skip(position)) < self._end:
            if self._text[position] == "}":
                return self._closed(piece, position + 1)
            key, after = self._key(position)
            if key is None:
                if self._text[position] == "]":
                    break  # an object that was never closed, inside a list
                position = max(after, position + 1)
                continue
            value, position = self.read(after, depth + 1)
            piece.members.append((key, value))
        piece.end = min(position, self._end)
        return piece, piece.end

    def _list(self, start: int, depth: int) -> tuple[Piece, int]:
        piece, position = Piece("list", start, start, closed=False), start + 1
        while (position := self._skip(position)) < self._end:
            if self._text[position] == "]":
                return self._closed(piece, position + 1)
            if self._text[position] == "}" or _NEXT_KEY.match(self._text, position, self._end):
                break  # a list that was never closed, inside an object
            value, after = self.read(position, depth + 1)
            position = max(after, position + 1)
            piece.members.append(("", value))
        piece.end = min(position, self._end)
        return piece, piece.end

    def _closed(self, piece: Piece, end: int) -> tuple[Piece, int]:
        piece.end, piece.closed = end, True
        return piece, end

    def _key(self, start: int) -> tuple[str | None, int]:
        if self._text[start] in "\"'":
            key, after = self._string(start, _CLOSES_KEY)
            colon = _COLON.match(self._text, after, self._end)
            if key.closed and colon:
                return self._text[key.start : key.end], colon.end()
        elif (bare := _BARE_KEY.match(self._text, start, self._end)) and (
            colon := _COLON.match(self._text, bare.end(), self._end)
        ):
            return bare[0], colon.end()
        lost = _LOST.match(self._text, start, self._end)
        return None, lost.end() if lost else start + 1

    def _string(self, start: int, closes: re.Pattern[str]) -> tuple[Piece, int]:
        is_key = closes is _CLOSES_KEY
        for stop in _STOPS[self._text[start]].finditer(self._text, start + 1, self._end):
            position = stop.start()
            if stop[0] == "\n":
                if is_key or _NEXT_KEY.match(self._text, position, self._end):
                    return Piece("text", start + 1, position, closed=False), position
            elif len(stop[0]) == 1 and (is_key or closes.match(self._text, stop.end(), self._end)):
                return Piece("text", start + 1, position, quoted=True), stop.end()
        return Piece("text", start + 1, self._end, closed=False), self._end

    def _bare(self, start: int) -> tuple[Piece, int]:
        match = _BARE.match(self._text, start, self._end)
        end = match.end() if match else start
        comment = _BARE_COMMENT.search(self._text, start, end)
        value_end = comment.start() if comment else end
        return Piece("text", start, value_end, closed=end < self._end), end

    def _skip(self, position: int) -> int:
        match = _SKIP.match(self._text, position, self._end)
        return match.end() if match else position
