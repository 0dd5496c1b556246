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
from backends.vlm.sampling import Sampling  # noqa: E402
from backends.vlm.scheduler import GroupLimits  # noqa: E402

LARGER_MODEL = {"prefill_s": 0.092, "step_s": 0.0085, "row_s": 0.00011}


def rounds_of(device, stats, slots, documents):
    family = SimpleNamespace(device=torch.device("cpu"), name="simulated")
    settings = EngineSettings(slots=slots, group=GroupLimits(documents, 10**9, 10**9))
    return rounds.Rounds(family, settings, stats, slots, None, None, device.clock)


def reading(device, limit):
    prepared = SimpleNamespace(prompt_tokens=2100, tiles=7)
    return Reading(prepared, limit, Sampling(), None, None, device.now_s)


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
