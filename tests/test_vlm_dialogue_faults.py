"""Dialogues that lose their slot, their time, their engine or themselves: answers stay right, no slot is left."""

import dataclasses
import threading
import time

import pytest

torch = pytest.importorskip("torch", reason="the extra 'vlm' is not installed")

from vlm_dialogue_world import (  # noqa: E402
    assert_as_alone,
    assert_nothing_held,
    models,
    pages,
    questions,
    real_family,
    scripted,
)

from backends.vlm.decoder import SlotDecoder  # noqa: E402
from router.errors import ExtractionError, RetryableError  # noqa: E402


@pytest.fixture(scope="module", params=["tiny_internvl", "tiny_llama_vision"])
def family(request):
    return real_family(request.getfixturevalue(request.param))


@pytest.fixture
def make(family):
    with models(family) as make:
        yield make


def test_a_slot_that_was_taken_is_read_again(make):
    model, heard = make(slots=1, hold_s=0.0), []
    others = [scripted(questions(20 + seed, 1, pages(20 + seed)), heard) for seed in range(4)]

    thread = threading.Thread(target=lambda: model.converse(others))

    def slow(requests):
        for number, request in enumerate(requests):
            heard.append((request, (yield request)))
            if number == 0:  # nobody waited for the slot before, and nothing gives it back but the engine itself
                thread.start()
                wait_for(lambda: model.engine.stats.slots_lost == 1)

    model.converse([slow(questions(1, 3, pages(1)))])
    thread.join()
    assert len(heard) == 7
    assert_as_alone(model, heard)


def wait_for(true):
    until_s = time.monotonic() + 20
    while not true():
        assert time.monotonic() < until_s
        time.sleep(0.002)


def test_a_dialogue_goes_on_where_memory_ran_short_for_its_question(make, monkeypatch):
    real, groups = SlotDecoder.prefill_tails, []

    def short(self, rows, *more):
        groups.append(len(rows))
        if len(groups) % 3 == 1:
            raise torch.OutOfMemoryError("no memory")
        return real(self, rows, *more)

    monkeypatch.setattr(SlotDecoder, "prefill_tails", short)
    model, heard = make(), []
    model.converse([scripted(questions(seed, 4, pages(seed)), heard) for seed in range(4)])
    assert len(heard) == 16
    assert_as_alone(model, heard)
    assert model.engine.stats.out_of_memory > 0


def test_a_dialogue_goes_on_in_an_engine_that_was_made_smaller(make, family, monkeypatch):
    model, heard, real = make(slots=4), [], SlotDecoder.prefill

    def short(self, rows, items, answers):
        if len(rows) == 1 and self.slots == 4 and model.engine.stats.follow_ups:
            raise torch.OutOfMemoryError("no memory")
        return real(self, rows, items, answers)

    monkeypatch.setattr(SlotDecoder, "prefill", short)

    def later():
        yield from scripted(questions(9, 2, pages(9)), heard)
        yield from scripted(questions(8, 2, pages(8)), heard)

    model.converse([*(scripted(questions(seed, 4, pages(seed)), heard) for seed in range(3)), later()])
    assert len(heard) == 16
    assert_as_alone(model, heard)
    assert model.engine.stats.slots == 2


def test_a_call_ends_with_its_time(make):
    model, heard = make(timeout_s=0.0), []
    model.converse([scripted(questions(seed, 3, pages(seed)), heard) for seed in range(3)])
    assert [answer.finish_reason for _, answer in heard] == ["deadline"] * 9


class WrongError(Exception):
    pass


@pytest.mark.parametrize("at", [0, 1, 2])
def test_a_dialogue_that_fails_leaves_nothing_behind(make, at):
    model, heard, closed = make(slots=2), [], []

    def failing():
        for number, request in enumerate(questions(1, 3, pages(1))):
            if number == at:
                raise WrongError
            yield request

    def others(seed):
        try:
            yield from scripted(questions(seed, 4, pages(seed)), heard)
        finally:
            closed.append(seed)

    with pytest.raises(WrongError):
        model.converse([others(2), failing(), others(3)])
    assert 2 in closed
    assert_nothing_held(model.engine)


def test_a_request_that_cannot_be_shown_ends_the_call_and_frees_its_slot(make):
    model, heard = make(slots=2), []
    good = questions(1, 2, pages(1))
    with pytest.raises(ExtractionError):
        model.converse([scripted([*good, dataclasses.replace(good[0], images=())], heard)])
    assert len(heard) == 2


@pytest.mark.parametrize("drain", [True, False])
def test_a_dialogue_in_a_closed_engine_fails_as_retryable(make, drain):
    model, heard = make(slots=2), []

    def closing():
        for number, request in enumerate(questions(1, 3, pages(1))):
            heard.append((yield request))
            if number == 0:
                model.close(drain)

    with pytest.raises(RetryableError):
        model.converse([closing()])
    assert len(heard) == 1
    assert not model.engine._thread.is_alive()
