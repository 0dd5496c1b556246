"""Kept slots and the questions that wait for them, without a model: which go together, and that no slot is lost."""

import random
from types import SimpleNamespace

import pytest

torch = pytest.importorskip("torch", reason="the extra 'vlm' is not installed")

from simulated_device import Device, SimulatedDecoder  # noqa: E402

from backends.vlm import rounds  # noqa: E402
from backends.vlm.engine_settings import EngineSettings  # noqa: E402
from backends.vlm.follow_ups import FollowUps, TailLimits  # noqa: E402
from backends.vlm.reading import EngineStats, Reading  # noqa: E402
from backends.vlm.requests import Decoded, Prepared  # noqa: E402
from backends.vlm.sampling import GREEDY  # noqa: E402
from backends.vlm.scheduler import GroupLimits  # noqa: E402


def prepared(tokens, prefix):
    """Return a whole request, or a question where all tokens but those of the prefix are its own."""
    ids = torch.zeros(tokens - prefix, dtype=torch.long)
    return Prepared(ids, (), (), 7, tokens, prefix_tokens=prefix)


def question(slot, tokens=10, arrived_s=0.0):
    whole = prepared(slot.prefix_tokens + tokens, slot.prefix_tokens)
    return Reading(whole, 5, GREEDY, None, None, arrived_s, True, slot)


def keep(some, row):
    reading = Reading(prepared(9, 4), 5, GREEDY, None, None, 0.0, True)
    some.settle(reading, row, Decoded([], [], [], [], "stop"), 0.0)
    return reading.future.result().held


def test_questions_are_prefilled_together_within_bounds_longest_waiting_first():
    limits = TailLimits(slots=3, tokens=100, patience_s=0.01)
    some = FollowUps(limits, 10.0, EngineStats(), free=lambda row: None)
    readings = [question(keep(some, row), tokens) for row, tokens in enumerate((30, 10, 60, 20, 20))]
    for reading in readings:
        some.add(reading)
    assert some.next_group(0.0, idle=False) == [readings[0], readings[1], readings[3]]
    assert some.next_group(0.0, idle=False) == [readings[2]]
    assert some.next_group(0.0, idle=False) == []
    assert some.next_group(0.0, idle=True) == [readings[4]]
    some.add(question(keep(some, 7), 500, arrived_s=1.0))
    assert some.next_group(1.005, idle=False) == []
    assert len(some.next_group(1.011, idle=False)) == 1
    assert some.rows == 0


class Owners:
    """Owners who follow, release, forget and cancel at random, in rounds on a device in simulated time."""

    def __init__(self, seed, slots, monkeypatch):
        monkeypatch.setattr(rounds, "SlotDecoder", lambda family, settings, n, k: SimulatedDecoder(self.device, n))
        self.draw, self.device, self.stats = random.Random(seed), Device(), EngineStats()
        family = SimpleNamespace(device=torch.device("cpu"), name="simulated")
        settings = EngineSettings(slots=slots, hold_s=0.2, group=GroupLimits(5, 10**9, 10**9))
        self.engine = rounds.Rounds(family, settings, self.stats, slots, None, None, self.device.clock)
        self.asking, self.kept = [], []

    def ask(self, slot=None):
        draw, now_s = self.draw, self.device.now_s
        first = Reading(prepared(300, 200), draw.randint(1, 30), GREEDY, None, None, now_s, draw.random() < 0.8)
        reading = first if slot is None else question(slot, draw.randint(10, 400), now_s)
        self.asking.append(reading)
        self.engine.add(reading)

    def listen(self):
        for reading in [one for one in self.asking if one.future.done()]:
            self.asking.remove(reading)
            if not reading.future.cancelled() and reading.future.exception() is None:
                slot = reading.future.result().held
                self.kept += [] if slot is None else [slot]

    def go_on(self):
        for slot in [one for one in self.kept if self.draw.random() < 0.5]:
            self.kept.remove(slot)
            choice = self.draw.random()
            if choice < 0.6:
                self.ask(slot)
            elif choice < 0.9:
                self.engine.release(slot)  # the others are forgotten: taken back only when a document waits
        if self.asking and self.draw.random() < 0.05:
            self.draw.choice(self.asking).future.cancel()

    def taken(self):
        engine = self.engine
        running = [*engine._active, *(row for group in engine._prefills for row in group.readings)]
        waiting = [reading.slot.row for reading in engine._follow_ups.waiting]
        return running + waiting + [slot.row for slot in engine._follow_ups._held]


def flaky(monkeypatch, draw, name, share, *errors):
    """Let a prefill of the simulated device fail now and then."""
    real = getattr(SimulatedDecoder, name)

    def prefill(self, *more):
        if draw.random() < share:
            raise draw.choice(errors)
        return real(self, *more)

    monkeypatch.setattr(SimulatedDecoder, name, prefill)


@pytest.mark.parametrize("seed", range(30))
def test_no_slot_is_ever_lost_or_used_twice(monkeypatch, seed):
    owners, left = Owners(seed, 6, monkeypatch), 60
    memory, fault = torch.OutOfMemoryError("no memory"), ValueError("faulty")
    flaky(monkeypatch, owners.draw, "prefill_tails", 0.1, memory, fault)
    flaky(monkeypatch, owners.draw, "prefill", 0.05, memory, fault, fault)
    engine = owners.engine
    while left or not engine.idle or owners.asking:
        if left and owners.draw.random() < 0.5:
            left -= 1
            owners.ask()
        if engine.held_up:
            owners.device.advance(0.01)
        engine.round()
        owners.listen()
        owners.go_on()
        assert sorted([*owners.taken(), *engine._free]) == list(range(owners.stats.slots))
        assert len(engine._freed_s) == len(engine._free)
    engine.lose_held()
    assert sorted(engine._free) == list(range(owners.stats.slots))
    assert owners.stats.follow_ups > 0
