"""The vocabularies of both published models, from wheels that carry them: how many tokens a text really takes."""

from __future__ import annotations

import importlib
import importlib.util
from functools import cache
from pathlib import Path

import pytest

SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}%s| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
FILES = {
    "internvl3": ("dashscope", "resources/qwen.tiktoken", ""),
    "llama-vision": ("llama_models", "llama3/tokenizer.model", "{1,3}"),
}
"""Package, file, and how many digits may be one token."""


@cache
def vocabulary(lane):
    """Return the encoding of a lane's published checkpoint, special tokens left out."""
    package, file, digits = FILES[lane]
    tiktoken = pytest.importorskip("tiktoken", reason="the extra 'dev' is not installed")
    load = importlib.import_module("tiktoken.load").load_tiktoken_bpe
    found = importlib.util.find_spec(package)
    if found is None or not found.submodule_search_locations:
        pytest.skip(f"{package} is not installed")
    path = Path(found.submodule_search_locations[0], file)
    ranks = load(str(path))
    return tiktoken.Encoding(package, pat_str=SPLIT % digits, mergeable_ranks=ranks, special_tokens={})


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
