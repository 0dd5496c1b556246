"""How the engine's rounds keep slots busy while documents wait, on a device in simulated time."""

from __future__ import annotations

import random
from types import SimpleNamespace

import pytest

torch = pytest.importorskip("torch", reason="the extra 'vlm' is not installed")

from simulated_device import Device, SimulatedDecoder  # noqa: E402

from backends.vlm import rounds  # noqa: E402
from backends.vlm.engine_settings import EngineSettings  # noqa: E402
from backends.vlm.reading import EngineStats, Reading  # noqa: E402
from backends.vlm.requests import Prepared  # noqa: E402
from backends.vlm.sampling import Sampling  # noqa: E402
from backends.vlm.scheduler import GroupLimits  # noqa: E402

LARGER_MODEL = {"prefill_s": 0.092, "step_s": 0.0085, "row_s": 0.00011}


def rounds_of(device, stats, slots, documents):
    family = SimpleNamespace(device=torch.device("cpu"), name="simulated")
    settings = EngineSettings(slots=slots, group=GroupLimits(documents, 10**9, 10**9))
    return rounds.Rounds(family, settings, stats, slots, None, None, device.clock)


def reading(device, limit, tokens=2100, **held):
    prepared = Prepared(torch.zeros(tokens - 1800), (), (), 7, tokens, prefix_tokens=1800)
    return Reading(prepared, limit, Sampling(), None, None, device.now_s, **held)


@pytest.fixture
def simulate(monkeypatch):
    def make(slots, documents, **costs):
        device, stats = Device(**costs), EngineStats()
        monkeypatch.setattr(
            rounds, "SlotDecoder", lambda family, settings, count, kernels: SimulatedDecoder(device, count)
        )
        return device, stats, rounds_of(device, stats, slots, documents)

    return make


def saturate(device, stats, engine, count):
    """Run `count` documents that are all there at once; return the statistics from the first full house on."""
    draw = random.Random(0)
    for _ in range(count):
        engine.add(reading(device, draw.randint(64, 448)))
    full = None
    while not engine.idle:
        engine.round()
        if full is None and stats.documents and not engine._free:
            full = stats.copy()
    assert stats.documents == count
    return stats.since(full)


@pytest.mark.parametrize(("slots", "documents"), [(128, 8), (192, 8), (128, 4), (96, 4)])
def test_slots_are_busy_and_documents_admitted_soon_under_saturation(simulate, slots, documents):
    steady = saturate(*simulate(slots, documents), count=slots * 5)
    waits = sorted(steady.waits_s)
    assert steady.busy >= 0.95
    assert steady.live >= 0.90
    assert waits[int(len(waits) * 0.99)] < 0.3


def test_slots_are_busy_where_a_prefill_costs_as_much_as_many_steps(simulate):
    steady = saturate(*simulate(64, 2, **LARGER_MODEL), count=256)
    waits = sorted(steady.waits_s)
    assert steady.busy >= 0.95
    assert steady.live >= 0.90
    assert waits[int(len(waits) * 0.99)] < 2 * 2 * LARGER_MODEL["prefill_s"]


def test_steps_go_on_beside_a_prefill_when_no_document_is_left_waiting(simulate):
    device, stats, engine = simulate(128, 8)
    engine.add(reading(device, 200))
    while not engine._active:
        engine.round()
    engine.add(reading(device, 200))
    engine.round()
    before = stats.steps
    while engine._prefills:
        engine.round()
    assert stats.steps > before


OWNER_S = 0.002
"""How long it takes whoever asked to ask again."""


def read_all(device, stats, engine, questions, count):
    """Read documents that are all there at once, each with questions (tokens of text, of the answer or None) one after
    the other in its slot; return the seconds."""
    draw, later, ended = random.Random(0), [], []

    def ask(number, limit, slot):
        if number == len(questions):
            engine.release(slot)
            ended.append(limit)
            return
        tokens, answer = questions[number]
        asked = reading(device, answer or limit, 1800 + tokens, hold=True, slot=slot)
        asked.future.add_done_callback(
            lambda future: later.append((device.now_s + OWNER_S, number + 1, limit, future.result().held))
        )
        engine.add(asked)

    for _ in range(count):
        ask(0, draw.randint(64, 448), None)
    while len(ended) < count:
        due = [one for one in later if one[0] <= device.now_s]
        for one in due:
            later.remove(one)
            ask(*one[1:])
        if engine.idle or engine.held_up:
            device.advance(OWNER_S)
        engine.round()
    assert stats.documents == count
    assert stats.follow_ups == count * (len(questions) - 1)
    assert stats.slots_lost == 0
    return device.now_s


def test_asking_the_kind_first_costs_little_under_saturation(simulate):
    named = read_all(*simulate(128, 5), [(400, None)], count=640)
    auto = read_all(*simulate(128, 5), [(75, 4), (400, None)], count=640)
    assert auto <= named * 1.08


def test_questions_that_come_together_are_prefilled_together(simulate):
    device, stats, engine = simulate(128, 5)
    read_all(device, stats, engine, [(75, 4), (400, None)], count=640)
    assert stats.follow_ups / stats.tail_prefills >= 3
