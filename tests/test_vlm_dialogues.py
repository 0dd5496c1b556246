"""Several questions about the same pictures in one slot: each is answered as if it were asked alone."""

import dataclasses
import threading

import pytest

torch = pytest.importorskip("torch", reason="the extra 'vlm' is not installed")

from torch.utils._python_dispatch import TorchDispatchMode  # noqa: E402
from vlm_dialogue_world import alone, assert_as_alone, models, pages, questions, real_family, scripted  # noqa: E402

from backends.base import ConversingModel, GenerationRequest  # noqa: E402
from backends.vlm.decoder import SlotDecoder  # noqa: E402

WAITING = {"aten::_local_scalar_dense", "aten::nonzero", "aten::is_nonzero", "aten::item", "aten::equal"}


@pytest.fixture(scope="module", params=["tiny_internvl", "tiny_llama_vision"])
def family(request):
    return real_family(request.getfixturevalue(request.param))


@pytest.fixture
def make(family):
    with models(family) as make:
        yield make


def several(family):
    """Return how many pages the family takes in one prompt in these tests."""
    return 1 if family.cross_tokens else 3


def test_every_question_is_answered_as_if_it_were_asked_alone(make, family):
    model, heard, beside = make(), [], []
    assert isinstance(model, ConversingModel)
    dialogues = [scripted(questions(seed, 1 + seed % 4, pages(seed)), heard) for seed in range(10)]
    others = [questions(50 + seed, 1, pages(50 + seed))[0] for seed in range(8)]
    thread = threading.Thread(target=lambda: beside.extend(model.generate_batch(others)))
    thread.start()
    model.converse(dialogues)
    thread.join()
    assert len(heard) == sum(1 + seed % 4 for seed in range(10))
    assert_as_alone(model, [*heard, *zip(others, beside, strict=True)])


def test_pictures_are_read_once(make):
    model, heard = make(), []
    model.converse([scripted(questions(seed, 4, pages(seed)), heard) for seed in range(3)])
    stats = model.engine.stats
    assert (stats.documents, stats.follow_ups, stats.slots_lost) == (3, 9, 0)
    assert stats.tail_prefills <= 9
    assert stats.held_slot_s > 0


def test_pages_have_their_captions_where_several_are_shown(make, family):
    model, heard, count = make(), [], several(family)
    captions = tuple(f"Page {number} of 4:" for number in range(1, count + 1))
    images = pages(7, count)
    model.converse([scripted(questions(7, 3, images, captions), heard)])
    assert_as_alone(model, heard)
    plain, captioned = (family.prepare(questions(7, 1, images, shown)[0]) for shown in ((), captions))
    text = family.tokenizer.decode(captioned.input_ids)
    if family.cross_tokens:
        assert captioned.input_ids.equal(plain.input_ids)
    else:
        assert [text.index(f"{caption}\n<img>") for caption in captions] == sorted(text.index(c) for c in captions)
    for request, _ in heard:
        prepared, tail = family.prepare(request), family.tail(request)
        assert prepared.input_ids[prepared.prefix_tokens :].equal(tail)
        assert prepared.input_ids[: prepared.prefix_tokens].equal(captioned.input_ids[: captioned.prefix_tokens])


def test_a_question_about_other_pages_is_asked_with_them(make):
    model, heard = make(slots=1), []
    first, second = questions(1, 2, pages(1)), questions(2, 2, pages(2))
    other_captions = [dataclasses.replace(first[0], captions=("Page 1 of 1:",))]
    model.converse([scripted([*first, *second, *other_captions], heard)])
    assert_as_alone(model, heard)
    assert model.engine.stats.documents == 3


def test_a_dialogue_without_a_question_is_no_call(make):
    model = make()
    model.converse([])
    model.converse([scripted([], [])])
    assert model.engine.stats.documents == 0


def test_a_question_that_does_not_fit_behind_the_pictures_is_asked_whole(make, family):
    model, heard = make(slot_tokens=300, answer_tokens=32), []
    first, second = questions(3, 2, pages(3))
    room = 299 - family.prepare(first).prompt_tokens
    tight = dataclasses.replace(second, prompt="total " * 10, max_tokens=32)
    while model.engine.room(family.prepare(tight).prompt_tokens) >= 32:
        tight = dataclasses.replace(tight, prompt=tight.prompt + "total ")
    assert room > 32
    model.converse([scripted([first, tight], heard)])
    assert_as_alone(model, [heard[0]])
    assert model.engine.stats.follow_ups == 0
    assert heard[1][1].tokens


def test_the_token_that_ended_an_answer_is_its_last_empty_piece(family, make):
    plain = make(of=dataclasses.replace(family, eos_ids=()))
    for seed in range(40):
        request = dataclasses.replace(questions(seed, 1, pages(seed))[0], max_tokens=12)
        tokens = plain.engine.submit(family.prepare(request), 12).result().tokens
        ends = [token for token in tokens[2:] if token not in tokens[:2]]
        if ends:
            break
    [end, *_] = ends
    model = make(of=dataclasses.replace(family, eos_ids=(end,)))
    [answer] = model.generate_batch([request])
    assert answer.finish_reason == "stop"
    assert answer.tokens[-1] == ""
    assert "".join(answer.tokens) == answer.text
    assert len(answer.token_logprobs) == len(answer.token_entropies) == len(answer.token_margins) == len(answer.tokens)
    assert_as_alone(model, [(request, answer)])
    [cut] = model.generate_batch([dataclasses.replace(request, max_tokens=1)])
    assert cut.finish_reason == "length"
    assert cut.tokens == alone(model, dataclasses.replace(request, max_tokens=1)).tokens


class Reads(TorchDispatchMode):
    """Counts what makes the host wait for a device."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.seen += [function.name()] if function.name() in WAITING else []
        return function(*args, **(kwargs or {}))


def test_a_prefill_of_tails_reads_nothing_back(make, monkeypatch):
    real, seen = SlotDecoder.prefill_tails, []

    def watched(self, *more):
        with Reads() as reads:
            prefilled = real(self, *more)
        seen.append(reads.seen)
        return prefilled

    monkeypatch.setattr(SlotDecoder, "prefill_tails", watched)
    make().converse([scripted(questions(seed, 2, pages(seed)), []) for seed in range(3)])
    assert seen
    assert not any(seen)
    with torch.inference_mode(), Reads() as reads:
        int(torch.ones(1).nonzero()[0, 0])
    assert reads.seen


def test_a_lane_s_model_converses(tiny_internvl):
    from backends import registry

    options = {"device": "cpu", "slots": 2, "slot_tokens": 1200, "answer_tokens": 24, "second_reading": "never"}
    lane = registry.create("internvl3", options | {"checkpoint": str(tiny_internvl)})
    heard = []
    try:
        assert isinstance(lane.model, ConversingModel)
        lane.model.converse([scripted(questions(1, 2, pages(1)), heard)])
        assert [type(request) for request, _ in heard] == [GenerationRequest] * 2
    finally:
        lane.model.close()
