"""A prompt and a number of pictures -> token ids. Knows chat templates; must not know tiles, pixels or fields."""

from __future__ import annotations

import re
import threading
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor


class ChatPrompt:
    """A checkpoint's chat template and tokenizer; may be used from any thread.

    Documents of one schema share their prompt, so ids are kept. Names of special tokens in the text are blanked: a
    schema's description must not be able to open a turn or to ask for a picture.
    """

    def __init__(self, processor: Any, kept_prompts: int = 256) -> None:
        self._processor, self._tokenizer = processor, processor.tokenizer
        special = sorted(self._tokenizer.get_added_vocab(), key=len, reverse=True)
        self._special = re.compile("|".join(map(re.escape, special)) or r"(?!)")
        self._lock = threading.Lock()
        self._kept = lru_cache(kept_prompts)(self._encode)

    def token_ids(self, text: str, pictures: int, captions: tuple[str, ...] = ()) -> Tensor:
        """Return int64 ids (n,) of one user turn, pictures first, up to where the answer starts; not to be changed.

        `captions` are lines before the pictures, one for each, or empty; raises `ValueError` on another number.
        """
        if captions and len(captions) != pictures:
            raise ValueError(f"{len(captions)} captions for {pictures} pictures")
        with self._lock:
            return self._kept(text, pictures, captions)

    def _encode(self, text: str, pictures: int, captions: tuple[str, ...]) -> Tensor:
        parts: list[dict[str, str]] = []
        for number in range(pictures):
            parts += [self._text(captions[number] + "\n")] if captions else []
            parts.append({"type": "image"})
        parts.append(self._text(text))
        turns = [{"role": "user", "content": parts}]
        whole = self._processor.apply_chat_template(turns, add_generation_prompt=True, tokenize=False)
        # the template writes all special tokens itself, the one at the beginning of the text included
        return torch.tensor(self._tokenizer(whole, add_special_tokens=False)["input_ids"])

    def _text(self, text: str) -> dict[str, str]:
        return {"type": "text", "text": self._special.sub(" ", text)}


def behind_pictures(ids: Tensor, picture_id: int) -> Tensor:
    """Return the ids behind the last placeholder of a picture, all of them where there is none.

    A placeholder is a token of its own whatever stands beside it, so that a cut there changes no other token.
    """
    places = (ids == picture_id).nonzero().flatten()
    return ids[int(places[-1]) + 1 :] if len(places) else ids


def expand_pictures(ids: Tensor, picture_id: int, spans: list[Tensor]) -> Tensor:
    """Return the ids with each placeholder replaced by its picture's span; raise `ValueError` on another number."""
    places = (ids == picture_id).nonzero().flatten().tolist()
    if len(places) != len(spans):
        raise ValueError(f"the chat template wrote {len(places)} places for {len(spans)} pictures")
    pieces, start = [], 0
    for place, span in zip(places, spans, strict=True):
        pieces += [ids[start:place], span]
        start = place + 1
    return torch.cat([*pieces, ids[start:]])
