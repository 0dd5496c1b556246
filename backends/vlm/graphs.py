"""A decode step of fixed shape, captured as a CUDA graph where there is one. Must not know requests or scheduling.

A captured step replays with one launch, which is what makes small models fast: a step has hundreds of kernels of a few
microseconds. One graph is captured for each number of rows, so that few documents do not pay for all slots, and, where
attention cannot stop at the filled length by itself, for each length that it reads at most. Graphs share one memory
pool; they never run at the same time.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from router.errors import BackendError

StepFunction = Callable[[int, int, bool], None]
"""Runs a step on the first `rows` slots, reading at most `longest` positions, drawing at random or not."""


@dataclass(frozen=True)
class StepShape:
    """The shape of a step."""

    rows: int
    longest: int
    random: bool = False


class StepRunner:
    """Runs steps in the smallest captured shape that fits, or as they are where nothing is captured."""

    def __init__(self, step: StepFunction, rows: Sequence[int], lengths: Sequence[int]) -> None:
        self._step, self._rows, self._lengths = step, sorted(set(rows)), sorted(set(lengths))
        self._graphs: dict[StepShape, torch.cuda.CUDAGraph] = {}
        self.largest = StepShape(self._rows[-1], self._lengths[-1])

    def shape(self, rows: int, longest: int, random: bool = False) -> StepShape:
        """Return the smallest shape that holds so many rows of so many positions."""
        fitting_rows = next(r for r in self._rows if r >= rows)
        return StepShape(fitting_rows, next(n for n in self._lengths if n >= longest), random)

    def capture(self, random: bool = False) -> None:
        """Capture every shape, largest first so that the smaller ones fit into its memory; rows must be idle.

        Raises `BackendError` where a step cannot be captured; then none is, and the device is usable as before.
        """
        pool = torch.cuda.graph_pool_handle()
        stream = torch.cuda.Stream(priority=-1)  # a captured kernel keeps the priority of the stream it was captured on
        for rows, longest in itertools.product(reversed(self._rows), reversed(self._lengths)):
            for drawn in {False, random}:
                self._capture(StepShape(rows, longest, drawn), pool, stream)

    def _capture(self, shape: StepShape, pool: object, stream: torch.cuda.Stream) -> None:
        self._warm(shape, stream)
        graph = torch.cuda.CUDAGraph()
        try:
            # thread_local: another thread may allocate (a model that loads, a page that is uploaded) meanwhile
            recorded = torch.cuda.graph(graph, pool=pool, stream=stream, capture_error_mode="thread_local")  # type: ignore[arg-type]
            with torch.cuda.stream(stream), recorded:  # a capture that cannot end leaves its stream the current one
                self._step(shape.rows, shape.longest, shape.random)
        except Exception as exc:
            self._graphs.clear()
            _close_pool(pool)
            cause = _first(exc)
            told = str(cause).partition("\n")[0]
            raise BackendError(
                f"a step of {shape.rows} rows cannot be captured as a CUDA graph ({type(cause).__name__}: {told})"
            ) from exc
        self._graphs[shape] = graph

    def _warm(self, shape: StepShape, stream: torch.cuda.Stream) -> None:
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):  # the first runs compile kernels and fill workspaces, which a capture cannot
            self._step(shape.rows, shape.longest, shape.random)
        torch.cuda.current_stream().wait_stream(stream)

    def run(self, shape: StepShape, steps: int) -> None:
        """Queue `steps` steps on the current stream."""
        graph = self._graphs.get(shape)
        for _ in range(steps):
            if graph is not None:
                graph.replay()
            else:
                self._step(shape.rows, shape.longest, shape.random)

    @property
    def captured(self) -> int:
        """Return how many shapes are captured."""
        return len(self._graphs)


def _close_pool(pool: object) -> None:
    """Let the allocator go on after a capture that did not end: torch closes the pool only of one that did."""
    allocator, device = torch._C, torch.cuda.current_device()
    try:
        allocator._cuda_endAllocateToPool(device, pool)  # type: ignore[arg-type]
    except RuntimeError:
        return  # it had ended, and its graph gives the pool back
    allocator._cuda_releasePool(device, pool)  # type: ignore[arg-type]


def _first(error: BaseException) -> BaseException:
    """Return what went wrong first: ending a failed capture fails too, and says only that there was an error."""
    while error.__context__ is not None:
        error = error.__context__
    return error


def row_counts(slots: int, captured: bool) -> list[int]:
    """Return the numbers of rows to run steps with: 1 and steps of about double up to all slots."""
    if not captured:
        return list(range(1, slots + 1))
    counts = [1, 4, *range(8, slots, 8)] if slots <= 32 else [1, 4, 8, 16, *range(32, slots, 32)]
    return [*(count for count in counts if count < slots), slots]


def length_buckets(length: int, bucket: int, reads_filled_only: bool) -> list[int]:
    """Return the lengths to run steps with: one where attention reads only what is filled, else every `bucket`."""
    if reads_filled_only:
        return [length]
    return [*range(bucket, length, bucket), length]
