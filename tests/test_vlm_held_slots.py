"""Slots that are kept for another question: who may use them, who gets them back, and that none is ever lost."""

import dataclasses
from concurrent.futures import CancelledError

import pytest

torch = pytest.importorskip("torch", reason="the extra 'vlm' is not installed")

from vlm_dialogue_world import assert_nothing_held  # noqa: E402
from vlm_engine_world import tiny_family  # noqa: E402

from backends.vlm.decoder import SlotDecoder  # noqa: E402
from backends.vlm.engine import Engine  # noqa: E402
from backends.vlm.engine_settings import EngineSettings  # noqa: E402
from backends.vlm.repetition import RepetitionRule  # noqa: E402
from backends.vlm.requests import HeldSlot  # noqa: E402
from backends.vlm.sampling import Sampling  # noqa: E402
from backends.vlm.scheduler import GroupLimits  # noqa: E402
from router.errors import ExtractionError, RetryableError, SlotLostError  # noqa: E402

SMALL = EngineSettings(
    slots=3,
    slot_tokens=256,
    answer_tokens=64,
    group=GroupLimits(documents=4),
    patience_s=0.0,
    repetition=RepetitionRule(longest_period=0),
    on_death=lambda cause: None,
)


@pytest.fixture(scope="module", params=["tiny_internvl", "tiny_llama_vision"])
def shared_family(request):
    return tiny_family(request.getfixturevalue(request.param))


@pytest.fixture
def family(shared_family):
    shared_family.heal()
    return shared_family


@pytest.fixture
def engine(family, request):
    changes = getattr(request, "param", {})
    with Engine(family, dataclasses.replace(SMALL, **changes)).start() as engine:
        yield engine
        if engine._rounds is not None and engine._thread.is_alive():
            assert_nothing_held(engine)


def asked(family, seed):
    """Return a request that knows where its picture ends, and the tokens behind it."""
    prepared = family.request(seed)
    image = 1 if family.cross_tokens else 4 * prepared.tiles
    prefix = 2 + image
    return dataclasses.replace(prepared, prefix_tokens=prefix), prepared.input_ids[prefix:]


def with_tail(prepared, tail):
    """Return the whole request with another question."""
    ids = torch.cat((prepared.input_ids[: prepared.prefix_tokens], tail))
    return dataclasses.replace(prepared, input_ids=ids, prompt_tokens=len(ids))


def held(engine, family, seed, **more):
    """Return a request, and the slot that is kept after its answer."""
    prepared, _ = asked(family, seed)
    return prepared, engine.submit(prepared, 3, hold=True, **more).result(30).held


def test_another_question_takes_the_place_of_the_one_before(engine, family):
    first, slot = held(engine, family, 1)
    others = [engine.submit(family.request(seed), 20) for seed in range(10, 16)]
    for seed, limit in ((30, 12), (31, 1), (32, 40)):
        _, tail = asked(family, seed)
        answer = engine.follow(slot, tail, limit).result(30)
        assert answer.tokens == family.generate(with_tail(first, tail), limit)
        slot = answer.held
    engine.release(slot)
    for future, seed in zip(others, range(10, 16), strict=True):
        assert future.result(30).tokens == family.generate(family.request(seed), 20)


def test_a_drawn_answer_to_a_follow_up_depends_on_its_seed_and_on_nothing_before_it(engine, family):
    hot = Sampling(temperature=1.5, top_p=0.9, seed=7)
    _, slot = held(engine, family, 1)
    _, tail = asked(family, 30)
    drawn = []
    for sampling in (hot, dataclasses.replace(hot, seed=8), hot):
        answer = engine.follow(slot, tail, 20, sampling=sampling).result(30)
        drawn.append(answer.tokens)
        slot = answer.held
    engine.release(slot)
    assert drawn[0] == drawn[2] != drawn[1]


def test_an_old_name_of_a_slot_touches_nobody(engine, family):
    prepared, slot = held(engine, family, 1)
    _, tail = asked(family, 2)
    answer = engine.follow(slot, tail, 3).result(30)
    with pytest.raises(SlotLostError):
        engine.follow(slot, tail, 3).result(30)
    engine.release(slot)
    again = engine.follow(answer.held, tail, 5).result(30)
    assert again.tokens == family.generate(with_tail(prepared, tail), 5)
    engine.release(again.held)
    engine.release(again.held)
    with pytest.raises(SlotLostError):
        engine.follow(again.held, tail, 3).result(30)
    with pytest.raises(SlotLostError):
        engine.follow(HeldSlot(0, prepared.prefix_tokens), tail, 3).result(30)


def test_a_slot_is_not_kept_unless_asked_for(engine, family):
    assert engine.submit(family.request(1), 3).result(30).held is None
    _, slot = held(engine, family, 1)
    _, tail = asked(family, 2)
    assert engine.follow(slot, tail, 3, hold=False).result(30).held is None


def test_a_question_without_room_is_refused_and_the_slot_stays(engine, family):
    _, slot = held(engine, family, 1)
    with pytest.raises(ExtractionError, match="a slot holds 255"):
        engine.follow(slot, torch.full((255,), 30), 3)
    longest = 255 - slot.prefix_tokens - 4
    answer = engine.follow(slot, torch.full((longest,), 30), 50).result(30)
    assert len(answer.tokens) == 4
    engine.release(answer.held)


def test_a_question_that_nobody_waits_for_frees_its_slot(engine, family):
    slots = [held(engine, family, seed)[1] for seed in range(3)]
    family.gate.clear()
    blocked = engine.submit(family.request(9), 3)
    engine.release(slots.pop())
    tails = [asked(family, 20 + number)[1] for number in range(2)]
    futures = [engine.follow(slot, tail, 60) for slot, tail in zip(slots, tails, strict=True)]
    assert futures[0].cancel()
    family.gate.set()
    assert blocked.result(30).tokens
    engine.release(futures[1].result(30).held)


def test_a_request_that_is_cancelled_keeps_no_slot(engine, family):
    family.gate.clear()
    future = engine.submit(asked(family, 1)[0], 30, hold=True)
    future.cancel()
    family.gate.set()


@pytest.mark.parametrize("engine", [{"hold_s": 0.05}], indirect=True)
def test_slots_that_stand_idle_are_taken_back_while_others_wait(engine, family):
    slots = [held(engine, family, seed)[1] for seed in range(3)]
    waiting = [engine.submit(family.request(seed), 3) for seed in range(10, 14)]
    assert all(future.result(30).tokens for future in waiting)
    _, tail = asked(family, 20)
    for slot in slots:
        engine.release(slot)
    with pytest.raises(SlotLostError):
        engine.follow(slots[0], tail, 3).result(30)
    assert engine.stats.slots_lost >= 1


@pytest.mark.parametrize("engine", [{"hold_s": 0.0}], indirect=True)
def test_slots_are_kept_as_long_as_nobody_waits(engine, family):
    prepared, slot = held(engine, family, 1)
    assert engine.submit(family.request(9), 20).result(30).tokens
    _, tail = asked(family, 20)
    answer = engine.follow(slot, tail, 3).result(30)
    assert answer.tokens == family.generate(with_tail(prepared, tail), 3)
    assert engine.stats.slots_lost == 0
    engine.release(answer.held)


def test_a_faulty_question_fails_alone(engine, family, monkeypatch):
    real, sizes = SlotDecoder.prefill_tails, []
    firsts = [held(engine, family, seed) for seed in range(3)]
    tails = [asked(family, 20 + seed)[1] for seed in range(3)]

    def faulty(self, rows, ids, *more):
        sizes.append(len(rows))
        if any(one is tails[1] for one in ids):
            raise ValueError("bad question")
        return real(self, rows, ids, *more)

    monkeypatch.setattr(SlotDecoder, "prefill_tails", faulty)
    family.gate.clear()
    engine.submit(family.request(9), 3)
    futures = [engine.follow(slot, tail, 5) for (_, slot), tail in zip(firsts, tails, strict=True)]
    family.gate.set()
    outcomes = [future.exception(30) for future in futures]
    assert [str(outcome) for outcome in outcomes] == ["None", "bad question", "None"]
    for number in (0, 2):
        answer = futures[number].result()
        assert answer.tokens == family.generate(with_tail(firsts[number][0], tails[number]), 5)
        engine.release(answer.held)
    assert sizes[-1] == 1


def test_a_question_for_which_there_is_no_memory_loses_its_slot(engine, family, monkeypatch):
    sizes = []

    def short(self, rows, *more):
        sizes.append(len(rows))
        raise torch.OutOfMemoryError("no memory")

    monkeypatch.setattr(SlotDecoder, "prefill_tails", short)
    slots = [held(engine, family, seed)[1] for seed in range(3)]
    futures = [engine.follow(slot, asked(family, 20)[1], 5) for slot in slots]
    assert all(isinstance(future.exception(30), SlotLostError) for future in futures)
    assert engine.stats.slots_lost == 3
    assert sizes == sorted(sizes, reverse=True)


def test_a_device_that_is_lost_in_a_question_ends_the_engine(family, monkeypatch):
    def lost(self, *more):
        raise RuntimeError("CUDA error: device lost")

    died = []
    engine = Engine(family, dataclasses.replace(SMALL, on_death=died.append)).start()
    monkeypatch.setattr(SlotDecoder, "prefill_tails", lost)
    _, slot = held(engine, family, 1)
    assert isinstance(engine.follow(slot, asked(family, 2)[1], 5).exception(30), RetryableError)
    engine.close()
    assert [str(cause) for cause in died] == ["CUDA error: device lost"]
    with pytest.raises(RetryableError):
        engine.follow(slot, asked(family, 2)[1], 5)
    engine.release(slot)


def test_an_engine_that_is_made_smaller_forgets_the_slots_that_it_kept(engine, family):
    slots = [held(engine, family, seed)[1] for seed in range(2)]
    family.failures = [torch.OutOfMemoryError("no memory")]
    assert engine.submit(family.request(9, tiles=1), 3).result(30).tokens
    assert engine.stats.slots == 1
    for slot in slots:
        with pytest.raises(SlotLostError):
            engine.follow(slot, asked(family, 2)[1], 5).result(30)


def test_closing_answers_the_questions_that_were_asked_and_lets_the_slots_go(family):
    engine = Engine(family, SMALL).start()
    first, slot = held(engine, family, 1)
    for seed in (2, 3):
        held(engine, family, seed)  # and never let go
    _, tail = asked(family, 20)
    question, waiting = engine.follow(slot, tail, 5), engine.submit(family.request(9), 5)
    engine.close()
    assert question.result(0).tokens == family.generate(with_tail(first, tail), 5)
    assert waiting.result(0).tokens == family.generate(family.request(9), 5)
    with pytest.raises(RetryableError, match="no more"):
        engine.follow(question.result().held, tail, 5)


def test_closing_in_haste_cancels_questions_too(family):
    engine = Engine(family, SMALL).start()
    _, slot = held(engine, family, 1)
    family.gate.clear()
    blocked = engine.submit(family.request(9), 60)
    future = engine.follow(slot, asked(family, 20)[1], 60)
    engine._hurry = engine._closing = True
    family.gate.set()
    engine.close(drain=False)
    for one in (blocked, future):
        with pytest.raises(CancelledError):
            one.result(0)
