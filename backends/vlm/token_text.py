"""Token ids -> the piece of text that each stands for. Knows tokenizers, not models.

Joined pieces are the answer's text, so that a value's place in the text finds the tokens that said it. Both families
use byte-level tokens: a character may be spread over several, and belongs to the last of them here.
"""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from functools import lru_cache
from typing import Any


class TokenText:
    """Pieces of one tokenizer's tokens. Safe for threads."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        added = tokenizer.added_tokens_decoder
        # reserved control tokens have no role of their own and are special all the same
        self._special = frozenset(tokenizer.all_special_ids) | {n for n, token in added.items() if token.special}
        self._added = {number: str(token) for number, token in added.items()}

    def spoken(self, tokens: Sequence[int]) -> list[int]:
        """Return the places of the tokens that are text: an answer's end and other control tokens are not."""
        return [place for place, token in enumerate(tokens) if token not in self._special]

    def pieces(self, tokens: Sequence[int]) -> list[str]:
        """Return the text of each token; broken bytes become the replacement character."""
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        names = self._tokenizer.convert_ids_to_tokens(list(tokens))
        return [
            decoder.decode(self._bytes(token, name), final=place + 1 == len(names))
            for place, (token, name) in enumerate(zip(tokens, names, strict=True))
        ]

    def _bytes(self, token: int, name: str | None) -> bytes:
        if name is None:  # the model's vocabulary may be larger than the tokenizer's
            return b""
        if token in self._added:
            return self._added[token].encode()
        table = byte_of_character()
        return bytes(table[character] for character in name if character in table)


@lru_cache(maxsize=1)
def byte_of_character() -> dict[str, int]:
    """Return the alphabet of byte-level tokens (GPT-2): printable bytes are themselves, others letters from 256 on."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + i): byte for i, byte in enumerate(others)}
