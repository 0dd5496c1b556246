"""The published byte-pair vocabularies, read from the wheels that ship them. Knows ranks and merges, no model.

Both are files of tokens and ranks as tiktoken reads them; a fast tokenizer wants merges. The published Qwen2 has one a
token, of the two parts that are joined last; the published Llama 3 has one for each way to cut a token into two.
"""

from __future__ import annotations

import base64
import functools
import importlib.util
import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import tokenizers
from tokenizers import AddedToken, decoders, models, normalizers, pre_tokenizers

from backends.vlm.token_text import byte_of_character

_WORDS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|%s| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
QWEN2_WORDS, LLAMA3_WORDS = _WORDS % r"\p{N}", _WORDS % r"\p{N}{1,3}"
"""How text is cut before merging: every digit alone, or up to three together."""

Pair = tuple[bytes, bytes]


@dataclass(frozen=True)
class Vocabulary:
    """Ranks of tokens, and the merges that build them, lowest first, both in the letters of byte-level vocabularies."""

    words: str
    ranks: Mapping[bytes, int]
    ids: Mapping[str, int]
    merges: tuple[tuple[str, str], ...]


@functools.cache
def qwen2() -> Vocabulary:
    """Return the vocabulary of Qwen2 and Qwen2.5: 151,643 tokens; raise `ModuleNotFoundError` without its wheel."""
    return _read("dashscope", "resources/qwen.tiktoken", QWEN2_WORDS, _last_merges)


@functools.cache
def llama3() -> Vocabulary:
    """Return the vocabulary of Llama 3: 128,000 tokens; raise `ModuleNotFoundError` without its wheel."""
    return _read("llama_models", "llama3/tokenizer.model", LLAMA3_WORDS, _all_merges)


def fast_tokenizer(
    vocabulary: Vocabulary, special: Mapping[str, int], whole_words: bool = False
) -> tokenizers.Tokenizer:
    """Return a byte-level tokenizer with `special` tokens, whose ids follow the vocabulary's without a gap.

    `whole_words`: a word that is a token is taken as it is, whether or not merges lead to it (Llama 3).
    """
    bpe = tokenizers.Tokenizer(models.BPE(dict(vocabulary.ids), list(vocabulary.merges), ignore_merges=whole_words))
    split = pre_tokenizers.Split(tokenizers.Regex(vocabulary.words), behavior="isolated")
    bytewise = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    bpe.pre_tokenizer = pre_tokenizers.Sequence([split, bytewise])
    bpe.decoder = decoders.ByteLevel()
    bpe.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in special])
    wrong = {token: bpe.token_to_id(token) for token, wanted in special.items() if bpe.token_to_id(token) != wanted}
    if wrong:
        raise ValueError(f"special tokens do not follow the vocabulary: {wrong}")
    return bpe


def composed(tokenizer: tokenizers.Tokenizer) -> tokenizers.Tokenizer:
    """Return the tokenizer with Unicode's composed form before everything else (Qwen2)."""
    tokenizer.normalizer = normalizers.NFC()
    return tokenizer


def _read(package: str, file: str, words: str, pairs: Callable[[Mapping[bytes, int]], Iterator[Pair]]) -> Vocabulary:
    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:
        raise ModuleNotFoundError(f"{package} ships a vocabulary; install it with: pip install 'docroute[dev]'")
    lines = (Path(found.origin).parent / file).read_bytes().splitlines()
    ranks = {base64.b64decode(token): int(rank) for token, _, rank in (line.partition(b" ") for line in lines)}
    letters = {byte: letter for letter, byte in byte_of_character().items()}

    def spelled(token: bytes) -> str:
        return token.decode("latin-1").translate(letters)

    merges = tuple((spelled(left), spelled(right)) for left, right in pairs(ranks))
    return Vocabulary(words, ranks, {spelled(token): rank for token, rank in ranks.items()}, merges)


def _all_merges(ranks: Mapping[bytes, int]) -> Iterator[Pair]:
    """Yield every way to make every token of two, by the token's rank."""
    for token in sorted(ranks, key=ranks.__getitem__):
        cuts = [(token[:i], token[i:]) for i in range(1, len(token))]
        known = [(ranks[left], ranks[right], left, right) for left, right in cuts if left in ranks and right in ranks]
        yield from ((left, right) for _, _, left, right in sorted(known))


def _last_merges(ranks: Mapping[bytes, int]) -> Iterator[Pair]:
    """Yield the last merge of every token, by rank; a token that no merges lead to has none."""
    for token in sorted(ranks, key=ranks.__getitem__):
        parts = _parts(token, ranks)
        if len(parts) == 2:
            yield parts[0], parts[1]


def _parts(token: bytes, ranks: Mapping[bytes, int]) -> list[bytes]:
    """Return the pieces that merges of lower rank than the token's own leave of it."""
    parts, own = [token[i : i + 1] for i in range(len(token))], ranks[token]
    while len(parts) > 2:
        joined = [ranks.get(left + right, own) for left, right in itertools.pairwise(parts)]
        best = min(joined)
        if best >= own:
            break
        place = joined.index(best)
        parts[place : place + 2] = [parts[place] + parts[place + 1]]
    return parts
