"""Token ids -> the text that each of them adds. Knows byte-level vocabularies; no prompts and no fields.

The pieces joined are the whole text, so that statistics of tokens can be aligned with it letter by letter.
"""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from functools import cache
from typing import Any


class Detokeniser:
    """Pieces of text of a byte-level tokenizer's ids (those of Qwen 2 and Llama 3); may be used from any thread."""

    def __init__(self, tokenizer: Any) -> None:
        special = set(tokenizer.all_special_ids) | {i for t, i in tokenizer.get_added_vocab().items() if t[:2] == "<|"}
        tokens = tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))
        added = {index: text for text, index in tokenizer.get_added_vocab().items()}
        self._bytes = [
            b"" if index in special else added[index].encode() if index in added else _bytes_of(token)
            for index, token in enumerate(tokens)
        ]

    def pieces(self, ids: Sequence[int]) -> tuple[str, ...]:
        """Return one piece a token: a letter of several bytes belongs to the token that ends it.

        Special tokens and ids beyond the vocabulary add nothing; bytes that are no letter become U+FFFD.
        """
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        pieces = [decoder.decode(self._bytes[index]) if index < len(self._bytes) else "" for index in ids]
        if pieces:
            pieces[-1] += decoder.decode(b"", final=True)
        return tuple(pieces)


def _bytes_of(token: str | None) -> bytes:
    letters = _letters()
    return bytes(letters[letter] for letter in token or "" if letter in letters)


@cache
def _letters() -> dict[str, int]:
    """The letter that stands for each byte in a byte-level vocabulary: itself where it can be printed."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + i): byte for i, byte in enumerate(others)}
