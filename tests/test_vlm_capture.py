"""A step that cannot be captured: told, counted, and run as it is only where that is allowed."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from types import SimpleNamespace

import pytest

torch = pytest.importorskip("torch", reason="the extra 'vlm' is not installed")

from simulated_device import Device, SimulatedDecoder  # noqa: E402

from backends.vlm import rounds  # noqa: E402
from backends.vlm.engine import Engine  # noqa: E402
from backends.vlm.engine_settings import EngineSettings  # noqa: E402
from backends.vlm.graphs import StepRunner, StepShape  # noqa: E402
from backends.vlm.reading import EngineStats, Reading  # noqa: E402
from backends.vlm.sampling import Sampling  # noqa: E402
from router.errors import BackendError  # noqa: E402

CAUSE = "a step of 4 rows cannot be captured"


class Uncapturable(SimulatedDecoder):
    def capture(self, random):
        raise BackendError(CAUSE)


@pytest.fixture
def made(monkeypatch):
    def make(**changes):
        device, stats = Device(), EngineStats()
        monkeypatch.setattr(rounds, "SlotDecoder", lambda family, settings, count, kernels: Uncapturable(device, count))
        family = SimpleNamespace(device=torch.device("cpu"), name="simulated")
        settings = EngineSettings(slots=4, **changes)
        return device, stats, lambda: rounds.Rounds(family, settings, stats, 4, None, None, device.clock)

    return make


def test_a_failed_capture_is_refused_with_what_helps(made):
    _, stats, start = made()
    with pytest.raises(BackendError, match=f"{CAUSE}.*set uncaptured = true") as refused:
        start()
    assert "\n" not in str(refused.value)
    assert (stats.captured, stats.capture_failures) == (0, 1)


def test_an_engine_whose_capture_fails_does_not_start(made, monkeypatch):
    made()
    monkeypatch.setattr("backends.vlm.engine.fix_rotary", lambda text_model, slot_tokens: None)
    family = SimpleNamespace(device=torch.device("cpu"), name="simulated", text_model=None)
    with pytest.raises(BackendError, match=f"engine of simulated cannot start: {CAUSE}"):
        Engine(family, EngineSettings(slots=4, fused=False)).start()


def test_where_it_is_allowed_a_failed_capture_is_told_and_counted_and_documents_are_read(made, caplog):
    device, stats, start = made(uncaptured=True)
    with caplog.at_level(logging.WARNING):
        engine = start()
    assert f"{CAUSE}: steps run uncaptured" in caplog.text
    assert (stats.captured, stats.capture_failures) == (0, 1)
    prepared = SimpleNamespace(prompt_tokens=100, tiles=1)
    readings = [Reading(prepared, 8, Sampling(), None, None, device.now_s) for _ in range(6)]
    for reading in readings:
        engine.add(reading)
    while not engine.idle:
        engine.round()
    assert all(reading.future.result(0) for reading in readings)


class SimulatedCuda:
    """The calls of `torch.cuda` around a capture; a pool is open from the begin of a capture to its end.

    As in torch, ending a capture that failed fails itself, and leaves the pool open and the stream current.
    """

    def __init__(self, monkeypatch):
        self.capturing, self.failed, self.open, self.released = False, False, False, 0
        self.streams = ["main"]
        for name in ("CUDAGraph", "graph", "stream", "Stream", "current_stream", "graph_pool_handle"):
            monkeypatch.setattr(torch.cuda, name, getattr(self, name))
        monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
        monkeypatch.setattr(torch._C, "_cuda_endAllocateToPool", self.end_pool, raising=False)
        monkeypatch.setattr(torch._C, "_cuda_releasePool", self.release_pool, raising=False)

    def CUDAGraph(self):  # noqa: N802
        return SimpleNamespace(replay=lambda: None)

    def Stream(self, priority):  # noqa: N802
        return SimpleNamespace(wait_stream=lambda other: None)

    def current_stream(self):
        return SimpleNamespace(wait_stream=lambda other: None)

    def graph_pool_handle(self):
        return (0, 1)

    @contextmanager
    def stream(self, stream):
        depth = len(self.streams)
        self.streams.append(stream)
        try:
            yield
        finally:
            del self.streams[depth:]

    @contextmanager
    def graph(self, graph, pool, stream, capture_error_mode):
        self.streams.append(stream)
        self.capturing = self.open = True
        try:
            yield
        finally:
            self.capturing = False
            if self.failed:
                raise RuntimeError("operation failed due to a previous error during capture")
            self.open = False
            self.streams.pop()

    def read_on_host(self):
        if self.capturing:
            self.failed = True
            raise RuntimeError("operation not permitted when stream is capturing\nmore about it")

    def end_pool(self, device, pool):
        if not self.open:
            raise RuntimeError("not currently recording to mempool_id")
        self.open = False

    def release_pool(self, device, pool):
        self.released += 1


def test_a_step_that_reads_the_host_leaves_the_device_usable_and_says_what_failed_first(monkeypatch):
    cuda, ran = SimulatedCuda(monkeypatch), []

    def step(rows, longest, random):
        ran.append(rows)
        if rows < 4:  # the larger shape is captured, and given up again
            cuda.read_on_host()

    runner = StepRunner(step, [1, 4], [16])
    with pytest.raises(BackendError) as failed:
        runner.capture()
    assert str(failed.value) == (
        "a step of 1 rows cannot be captured as a CUDA graph "
        "(RuntimeError: operation not permitted when stream is capturing)"
    )
    assert (runner.captured, cuda.streams, cuda.open, cuda.released) == (0, ["main"], False, 1)
    ran.clear()
    runner.run(StepShape(4, 16), 2)
    assert ran == [4, 4]


def test_a_step_that_fails_by_itself_in_a_capture_that_ends_gives_the_pool_back_once(monkeypatch):
    cuda = SimulatedCuda(monkeypatch)

    def step(rows, longest, random):
        if cuda.capturing:
            raise ValueError("no such shape")

    with pytest.raises(BackendError, match="ValueError: no such shape"):
        StepRunner(step, [1], [16]).capture()
    assert (cuda.open, cuda.released, cuda.streams) == (False, 0, ["main"])
