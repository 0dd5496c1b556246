"""What grammar-constrained decoding costs the host: the mask of allowed tokens, a row and a token, of two libraries.

`python -m benchmarks.grammar_cost [--schema invoice]`; needs `llguidance` and `xgrammar`, which the project does not
depend on. The vocabulary is made up, of InternVL3's size: bytes, and words as they are cut by byte-level BPE.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from backends.prompts import json_schema
from router.schema import load_schema

VOCABULARY = 151_674
END = VOCABULARY - 1
LETTERS = "etaoinshrdlucmfwypvbgkqjxz"
VALUES = ("ACME Trading Pty Ltd", "INV-2024-00817", "2024-05-17", "1,284.50", "AUD", "NOT_FOUND", "12 Harbour Street")


def vocabulary() -> list[bytes]:
    """Return all tokens but the last, which ends an answer."""
    draw = random.Random(0)
    tokens = [bytes([value]) for value in range(256)]
    seen = set(tokens)
    while len(tokens) < VOCABULARY - 1:
        word = "".join(draw.choices(LETTERS, weights=range(26, 0, -1), k=draw.randint(2, 9)))
        kind = draw.random()
        if kind < 0.5:
            word = " " + word
        elif kind < 0.6:
            word = word.capitalize()
        elif kind < 0.66:
            word = draw.choice(['"', '":', '",', "{", "}", "[", "\n", "  ", ", "]) + word[: draw.randint(0, 3)]
        elif kind < 0.7:
            word = str(draw.randint(0, 9999)) + draw.choice(["", ".", "-", ","])
        token = word.encode()
        if token not in seen:
            seen.add(token)
            tokens.append(token)
    return tokens


def answer_ids(schema: dict[str, Any], tokens: list[bytes]) -> list[int]:
    """Return an answer of the schema as token ids, longest token first, without the end."""
    names = schema["properties"]
    text = json.dumps({name: VALUES[i % len(VALUES)] for i, name in enumerate(names)}).encode()
    ids = {token: number for number, token in enumerate(tokens)}
    answer, at = [], 0
    while at < len(text):
        token = next(text[at : at + n] for n in range(16, 0, -1) if text[at : at + n] in ids)
        answer.append(ids[token])
        at += len(token)
    return answer


Constraint = tuple[Callable[[], None], Callable[[int], bool]]
"""Writes the mask of the next token; takes the token that was chosen and says whether it was allowed."""


def llguidance(schema: dict[str, Any], tokens: list[bytes]) -> Callable[[], Constraint]:
    """Return what makes a constraint for one answer."""
    import llguidance as library
    from llguidance.numpy import allocate_token_bitmask, fill_next_token_bitmask

    class Tokenizer:
        eos_token_id, bos_token_id = END, None
        special_token_ids = (END,)

        def __init__(self) -> None:
            self.tokens = [*tokens, b"<end>"]

        def __call__(self, text: bytes) -> list[int]:
            return list(text)

    tokenizer = library.LLTokenizer(library.TokenizerWrapper(Tokenizer()))
    grammar = library.LLMatcher.grammar_from_json_schema(json.dumps(schema))
    mask = allocate_token_bitmask(1, VOCABULARY)

    def make() -> Constraint:
        matcher = library.LLMatcher(tokenizer, grammar)
        return lambda: fill_next_token_bitmask(matcher, mask, 0), matcher.consume_token

    return make


def xgrammar(schema: dict[str, Any], tokens: list[bytes]) -> Callable[[], Constraint]:
    """The same with the other library."""
    import xgrammar as library

    info = library.TokenizerInfo([*tokens, b"<end>"], vocab_size=VOCABULARY, stop_token_ids=[END])
    compiled = library.GrammarCompiler(info, max_threads=1).compile_json_schema(json.dumps(schema))
    mask = library.allocate_token_bitmask(1, VOCABULARY)

    def make() -> Constraint:
        matcher = library.GrammarMatcher(compiled)
        return lambda: matcher.fill_next_token_bitmask(mask, 0) and None, matcher.accept_token

    return make


def measure(name: str, make: Callable[[], Constraint], answer: list[int], rounds: int) -> Iterator[str]:
    """Yield the times of a mask and of taking a token, in microseconds, over the tokens of an answer."""
    make()
    masks, taken, starts = [], [], []
    for _ in range(rounds):
        began = time.perf_counter()
        fill, take = make()
        starts.append(time.perf_counter() - began)
        for token in answer:
            began = time.perf_counter()
            fill()
            filled = time.perf_counter()
            allowed = take(token)
            masks.append(filled - began)
            taken.append(time.perf_counter() - filled)
            if not allowed:
                raise RuntimeError(f"{name} does not allow token {token} of an answer that the schema allows")
    for what, spent in (("mask", masks), ("token taken", taken), ("answer begun", starts)):
        middle, late, mean = (*np.quantile(spent, [0.5, 0.99]), np.mean(spent))
        yield f"| {name} | {what} | {mean * 1e6:,.0f} | {middle * 1e6:,.0f} | {late * 1e6:,.0f} |"


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--schema", default="invoice")
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    schema = load_schema(args.schema)
    wanted = tuple(name for name in schema.names() if schema.field(name).kind != "table")
    form, tokens = json_schema(schema, wanted), vocabulary()
    answer = answer_ids(form, tokens)
    print(f"{args.schema}: {len(form['properties'])} fields, an answer of {len(answer)} tokens\n")
    print("| library | what | mean us | median us | p99 us |\n|---|---|---|---|---|")
    for library in (llguidance, xgrammar):
        began = time.perf_counter()
        try:
            make = library(form, tokens)
            begun_s = time.perf_counter() - began
            for line in measure(library.__name__, make, answer, args.rounds):
                print(line, flush=True)
            print(f"| {library.__name__} | made ready once | {begun_s * 1e6:,.0f} | | |", flush=True)
        except (ImportError, RuntimeError) as exc:
            print(f"| {library.__name__} | {type(exc).__name__}: {exc} | | | |", flush=True)


if __name__ == "__main__":
    main()
