"""Dialogues for tests: scripted questions about random pages, and what `generate` alone says to each of them."""

from __future__ import annotations

import dataclasses
import time
from contextlib import contextmanager

import numpy as np
import torch
import transformers

from backends.base import GenerationRequest
from backends.vlm.asking import Asked
from backends.vlm.engine import Engine
from backends.vlm.engine_settings import EngineSettings
from backends.vlm.internvl import InternVL
from backends.vlm.llama_vision import LlamaVision
from backends.vlm.model import VlmModel
from backends.vlm.repetition import RepetitionRule
from backends.vlm.requests import Decoded

WORDS = [
    "Which",
    "kind",
    "of",
    "document",
    "is",
    "this?",
    "Copy",
    "the",
    "total",
    "amount,",
    "the",
    "date",
    "and",
    "every",
    "row",
    "of",
    "the",
    "table",
    "as",
    "printed.",
]

SETTINGS = EngineSettings(
    slots=3,
    slot_tokens=640,
    answer_tokens=32,
    patience_s=0.0,
    repetition=RepetitionRule(longest_period=0),
    on_death=lambda cause: None,
)


@contextmanager
def models(family):
    """Gives what makes a model with an engine of some settings; in the end every slot of each is free."""
    made = []

    def make(timeout_s=None, of=family, **settings):
        engine = Engine(of, dataclasses.replace(SETTINGS, **settings)).start()
        made.append(engine)
        return VlmModel("tiny", of, engine, timeout_s)

    yield make
    for engine in made:
        if engine._rounds is not None:
            assert_nothing_held(engine)
        engine.close()


def real_family(folder, device="cpu"):
    """Return the family of a tiny checkpoint, with its own processor."""
    loaded = transformers.AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32).eval().to(device)
    kind = InternVL if loaded.config.model_type == "internvl" else LlamaVision
    return kind.of(loaded, transformers.AutoProcessor.from_pretrained(folder))


def pages(seed, count=1):
    """Return pages of noise of different sizes."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(60, 160, (count, 2))
    return tuple(rng.integers(0, 256, (height, width, 3), dtype=np.uint8) for height, width in sizes)


def questions(seed, count, images, captions=()):
    """Return questions of ragged lengths about the same pages, with answers of ragged lengths."""
    rng = np.random.default_rng(seed)
    prompts = [" ".join(rng.choice(WORDS, int(rng.integers(1, 25)))) for _ in range(count)]
    return [GenerationRequest(prompt, images, int(rng.integers(1, 14)), captions=captions) for prompt in prompts]


def scripted(requests, heard):
    """A dialogue that asks these, whatever is answered, and keeps the answers beside their requests."""
    for request in requests:
        heard.append((request, (yield request)))


def alone(model, request):
    """Return the answer that `generate` of transformers gives to this request by itself."""
    family = model.family
    prepared = family.prepare(request)
    inputs = {name: value for name, value in family.collate([prepared]).inputs.items() if name != "image_places"}
    with torch.inference_mode():
        out = family.model.generate(
            **inputs,
            attention_mask=torch.ones_like(inputs["input_ids"]),
            max_new_tokens=request.max_tokens,
            do_sample=False,
            eos_token_id=list(family.eos_ids),
            output_logits=True,
            return_dict_in_generate=True,
        )
    tokens = out.sequences[0, prepared.prompt_tokens :].tolist()
    scores = torch.cat(out.logits).float().log_softmax(-1)
    best = scores.topk(2).values
    decoded = Decoded(
        tokens,
        [float(score[token]) for score, token in zip(scores, tokens, strict=True)],
        (-(scores.exp() * scores).sum(-1)).tolist(),
        (best[:, 0] - best[:, 1]).tolist(),
        "stop" if tokens[-1] in family.eos_ids else "length",
    )
    return model._asker.generation(Asked(request, prepared.prompt_tokens, prepared.signals), decoded)


def assert_as_alone(model, heard):
    """Every answer is what the question gets alone, token for token."""
    for request, answer in heard:
        wanted = alone(model, request)
        assert answer.tokens == wanted.tokens
        assert (answer.text, answer.finish_reason) == (wanted.text, wanted.finish_reason)
        assert (answer.prompt_tokens, answer.signals) == (wanted.prompt_tokens, wanted.signals)
        for name in ("token_logprobs", "token_entropies", "token_margins"):
            np.testing.assert_allclose(getattr(answer, name), getattr(wanted, name), atol=1e-4)


def assert_nothing_held(engine):
    """All slots become free again, and every one of them can be used."""
    rounds, until_s = engine._rounds, time.monotonic() + 20

    def taken():
        return len(rounds._free) < engine.stats.slots or engine.busy() or engine.waiting()

    while taken() and time.monotonic() < until_s:
        time.sleep(0.005)
    assert sorted(rounds._free) == list(range(engine.stats.slots))
    assert (engine.busy(), engine.waiting()) == (0, 0)
