"""From a prompt and pages to an answer's text with what the model thought of each token, on tiny checkpoints."""

import dataclasses

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra 'vlm' is not installed")

import transformers  # noqa: E402

from backends.base import GenerationRequest, Model, PagedModel  # noqa: E402
from backends.vlm.engine import Engine  # noqa: E402
from backends.vlm.engine_settings import EngineSettings  # noqa: E402
from backends.vlm.internvl import InternVL  # noqa: E402
from backends.vlm.llama_vision import LlamaVision  # noqa: E402
from backends.vlm.model import VlmModel  # noqa: E402
from backends.vlm.token_text import TokenText  # noqa: E402
from router.errors import ExtractionError  # noqa: E402

SETTINGS = EngineSettings(slots=4, slot_tokens=512, answer_tokens=32, on_death=lambda cause: None)


@pytest.fixture(scope="module", params=["tiny_internvl", "tiny_llama_vision"])
def model(request):
    folder = request.getfixturevalue(request.param)
    kind = InternVL if request.param == "tiny_internvl" else LlamaVision
    loaded = transformers.AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32).eval()
    family = kind.of(loaded, transformers.AutoProcessor.from_pretrained(folder))
    with Engine(family, SETTINGS).start() as engine:
        yield VlmModel("tiny", family, engine)


def asked(seed=0, max_tokens=12, images=1, prompt="total_amount (amount): the total"):
    rng = np.random.default_rng(seed)
    pages = tuple(rng.integers(0, 256, (120, 80, 3), dtype=np.uint8) for _ in range(images))
    return GenerationRequest(prompt, pages, max_tokens)


def test_an_answer_says_of_every_token_what_the_model_thought_of_it(model):
    assert isinstance(model, Model)
    assert isinstance(model, PagedModel)
    answers = model.generate_batch([asked(seed) for seed in range(6)])
    for answer in answers:
        assert "".join(answer.tokens) == answer.text
        aligned = (answer.token_logprobs, answer.token_entropies, answer.token_margins)
        assert [len(values) for values in aligned] == [len(answer.tokens)] * 3
        assert all(value <= 0 for value in answer.token_logprobs)
        assert all(value >= 0 for value in answer.token_entropies + answer.token_margins)
        assert answer.signals["tiles"] >= 1
        assert answer.prompt_tokens > 0


def test_a_request_that_cannot_be_shown_fails_without_leaving_others_behind(model):
    with pytest.raises(ExtractionError):
        model.generate_batch([asked(1, 30), asked(images=0)])
    assert model.generate_batch([asked(2, 4)])[0].tokens


def test_a_call_ends_with_its_time(model):
    hurried = dataclasses.replace(model, timeout_s=0.0)
    assert hurried.generate_batch([asked()])[0].finish_reason == "deadline"


def test_pieces_joined_are_what_the_tokenizer_decodes(model):
    tokenizer = model.family.tokenizer
    text = TokenText(tokenizer)
    for words in ("total_amount: 12.30 €\n", "Größe 日本 🧾 | x", " NOT_FOUND"):
        tokens = tokenizer(words, add_special_tokens=False)["input_ids"]
        pieces = text.pieces(tokens)
        assert len(pieces) == len(tokens)
        assert "".join(pieces) == words == tokenizer.decode(tokens, clean_up_tokenization_spaces=False)
    assert text.pieces([]) == []


def test_control_tokens_are_no_text(model):
    tokenizer = model.family.tokenizer
    text = TokenText(tokenizer)
    assert text.spoken([5, tokenizer.eos_token_id, 6]) == [0, 2]
