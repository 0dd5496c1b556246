"""What it costs to ask which kind of document it is before its fields are asked for, in documents an hour under load.

`python -m benchmarks.vlm_auto` reads the same pages three times with a model of the real shapes: all in one question,
as with a named schema; the kind first and then the fields, in the slot that has the pictures; and a table apart after
that. `--smoke` rehearses with tiny models on a CPU.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from backends.base import Dialogue, GenerationRequest, ModelFacts
from backends.vlm.engine import Engine
from backends.vlm.model import VlmModel
from benchmarks import vlm_world as w

SLOTS = {w.INTERNVL: 128, w.LLAMA: 64}
DOCUMENTS = {w.INTERNVL: 640, w.LLAMA: 192}
PAGES = 4
GIVEN_BACK_S = 10.0
GLYPH_PX = 20.0
"""Ten-point letters at 200 dpi: what is told need not be measured."""


@dataclass(frozen=True)
class Question:
    """A question of so many tokens of text, and an answer of so many, or of the document's own length (None)."""

    text: int
    answer: int | None


KIND, FIELDS, TABLE = Question(60, 4), Question(400, None), Question(300, 128)
MODES: dict[str, Sequence[Question]] = {
    "named schema": (FIELDS,),
    "auto": (KIND, FIELDS),
    "auto, then a table": (KIND, FIELDS, TABLE),
}
SMOKE_SHARE = 10
"""A rehearsal has a tenth of the text and of the table."""


@dataclass(frozen=True)
class Load:
    """Documents that are asked the same questions, by as many callers as a worker has."""

    world: w.World
    model: VlmModel
    pages: Sequence[Any]
    lengths: Sequence[int]

    def run(self, questions: Sequence[Question]) -> dict[str, Any]:
        """Return what was measured of all documents, all of which wait from the beginning."""
        engine, stats = self.model.engine, self.model.engine.stats
        prompts = [self._prompt(question) for question in questions]
        ended: list[float] = []

        def read(number: int) -> None:
            self.model.converse([self._dialogue(number, questions, prompts)])
            ended.append(time.perf_counter())

        stats.reset()
        started = time.perf_counter()
        with ThreadPoolExecutor(ModelFacts("", None, "", slots=stats.slots).callers) as pool:
            list(pool.map(read, range(len(self.lengths))))
        elapsed_s = max(ended) - started
        while engine.busy():  # the last slots are being given back
            if time.perf_counter() - max(ended) > GIVEN_BACK_S:
                raise RuntimeError(f"{engine.busy()} slots are kept by nobody")
            time.sleep(0.001)
        return {
            "documents": len(self.lengths),
            "documents_h": round(len(self.lengths) / elapsed_s * 3600),
            "document_ms": round(elapsed_s / len(self.lengths) * 1000, 2),
            "steady_ms": _steady_ms(sorted(ended), stats.slots),
            "tokens": stats.tokens,
            "steps": stats.steps,
            "group": round(stats.documents / max(1, stats.prefills), 1),
            "follow_ups": stats.follow_ups,
            "follow_ups_together": round(stats.follow_ups / max(1, stats.tail_prefills), 1),
            "held_ms": round(stats.held_slot_s / len(self.lengths) * 1000, 1),
            "slots_lost": stats.slots_lost,
            "out_of_memory": stats.out_of_memory,
            **w.slot_use(stats),
            **w.memory(),
        }

    def _dialogue(self, number: int, questions: Sequence[Question], prompts: Sequence[str]) -> Dialogue:
        images = (self.pages[number % len(self.pages)],)
        for question, prompt in zip(questions, prompts, strict=True):
            limit = self.lengths[number] if question.answer is None else self._scaled(question.answer)
            answer = yield GenerationRequest(prompt, images, limit, glyph_heights_px=(GLYPH_PX,))
            if answer.finish_reason != "length":
                raise RuntimeError(f"an answer ended with {answer.finish_reason}")

    def _prompt(self, question: Question) -> str:
        """Return text of about so many tokens."""
        word_tokens = len(self.model.family.tokenizer(w.WORDS, add_special_tokens=False)["input_ids"])
        return w.WORDS * max(1, round(self._scaled(question.text) / word_tokens))

    def _scaled(self, tokens: int) -> int:
        return max(1, tokens // SMOKE_SHARE) if self.world.smoke else tokens


def _steady_ms(ended: Sequence[float], slots: int) -> float | None:
    """Return the milliseconds of a document while every slot was taken, None where there were too few documents."""
    middle = ended[slots : len(ended) - slots]
    return round((middle[-1] - middle[0]) / (len(middle) - 1) * 1000, 2) if len(middle) > 1 else None


def measure(world: w.World, name: str, documents: int) -> list[dict[str, Any]]:
    """Return a row a mode, in their order, each with its cost as a multiple of the first one's."""
    family = w.family(world, name)
    sample = w.prepared(world, family, 1)[0]
    pages = [w.page(world, seed) for seed in range(PAGES)]
    rows: list[dict[str, Any]] = []
    with Engine(family, w.settings(world, name, SLOTS[name])).start(sample) as engine:
        model = VlmModel(name, family, engine)
        # nothing is done for the first time later
        Load(world, model, pages, world.answer_lengths(engine.stats.slots)[:24]).run(MODES["auto, then a table"])
        load = Load(world, model, pages, world.answer_lengths(documents))
        for mode, questions in MODES.items():
            row = {"model": name, "mode": mode, "prompt": sample.prompt_tokens, **load.run(questions)}
            first = rows[0] if rows else row
            row["cost"] = round(row["document_ms"] / first["document_ms"], 3)
            if row["steady_ms"] is not None:
                row["steady_cost"] = round(row["steady_ms"] / first["steady_ms"], 3)
            rows.append(row)
            print(json.dumps(row), flush=True)
    return rows


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", choices=list(SLOTS), default=w.INTERNVL)
    parser.add_argument("--documents", type=int, default=None)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--smoke", action="store_true", help="tiny models, on the CPU where there is no GPU")
    parser.add_argument("--out", type=Path, default=None, help="a file for the rows as JSON")
    args = parser.parse_args()
    world = w.World(torch.device("cpu" if args.smoke and not torch.cuda.is_available() else args.device), args.smoke)
    documents = args.documents or (20 if args.smoke else DOCUMENTS[args.model])
    rows = measure(world, args.model, documents)
    if args.out is not None:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(json.dumps(rows, indent=1))
    for row in rows:
        print(f"{row['mode']}: {row['documents_h']:,} documents an hour, {row['cost']:.3f} times the first")


if __name__ == "__main__":
    main()
