"""A device in simulated time under the engine's rounds: how scheduling behaves under load, without a model or waiting.

Two streams share the device as measured on an H100 with InternVL3-2B: alone each has all of it, together the steps get
about a third.
"""

from __future__ import annotations

from collections import deque
from contextlib import nullcontext
from dataclasses import dataclass, field

import torch

SHARES = {"steps": 1 / 3, "prefill": 2 / 3}
LAUNCH_S, TAIL_LAUNCH_S = 0.02, 0.008
TOKENS_SHARE, TYPICAL_TOKENS = 0.6, 2100
"""Of a prefill's time, what goes with its tokens and not with its tiles; and how many tokens it is measured with."""
ROUND_S = 0.0005


@dataclass
class Device:
    """What runs when: `prefill_s` seconds a document, and a step of so many seconds plus so many a row; a prefill of
    tails takes `weights_s` and so many a padded token."""

    prefill_s: float = 0.021
    step_s: float = 0.0021
    row_s: float = 0.0000245
    weights_s: float = 0.002
    token_s: float = 0.000006
    now_s: float = 0.0
    streams: dict = field(default_factory=lambda: {"steps": deque(), "prefill": deque()})

    def clock(self):
        return self.now_s

    def queue(self, stream, seconds, then):
        self.streams[stream].append([seconds, then])
        self.advance(0.0)

    def advance(self, seconds):
        """Let time pass, as the host works."""
        until_s = self.now_s + seconds
        while self.now_s < until_s or self._due():
            if not self._work(until_s):
                self.now_s = until_s

    def wait(self, done):
        """Let time pass until `done()`, as the host waits."""
        while not done():
            assert self._work(float("inf")), "the host waits for what was never queued"

    def _due(self):
        return any(queued and queued[0][0] <= 1e-9 for queued in self.streams.values())

    def _work(self, until_s):
        running = {name: queued for name, queued in self.streams.items() if queued}
        if not running:
            return False
        shares = {name: SHARES[name] if len(running) > 1 else 1.0 for name in running}
        spent_s = min([until_s - self.now_s, *(queued[0][0] / shares[name] for name, queued in running.items())])
        self.now_s += spent_s
        for name, queued in running.items():
            queued[0][0] -= spent_s * shares[name]
            if queued[0][0] <= 1e-9:
                queued.popleft()[1]()
        return True


@dataclass
class Arrival:
    """Something that is there when the device has come to it; stands for `Copied` and `Prefilled`."""

    device: Device
    tensors: tuple = ()
    rows: tuple = ()
    answers: tuple = ()
    here: bool = False

    def ready(self):
        return self.here

    def wait(self):
        self.device.wait(self.ready)
        return self.tensors


class SimulatedDecoder:
    """Stands for `SlotDecoder`: rows with budgets instead of a model."""

    main = object()

    def __init__(self, device, slots):
        self.device = device
        self.left, self.tokens = [0] * slots, [0] * slots

    def on_main(self):
        return nullcontext()

    def capture(self, random):
        return 0

    def prefill(self, rows, items, answers):
        group = Arrival(self.device, rows=tuple(rows), answers=tuple(answers))
        self.device.advance(LAUNCH_S)
        tokens = sum(item.prompt_tokens for item in items) / TYPICAL_TOKENS
        documents = TOKENS_SHARE * tokens + (1 - TOKENS_SHARE) * len(rows)
        self.device.queue("prefill", self.device.prefill_s * documents, lambda: self._arrive(group))
        return group

    def prefill_tails(self, rows, tails, starts, answers):
        group = Arrival(self.device, rows=tuple(rows), answers=tuple(answers))
        self.device.advance(TAIL_LAUNCH_S)
        padded = len(rows) * max(len(tail) for tail in tails)
        seconds = self.device.weights_s + self.device.token_s * padded
        self.device.queue("prefill", seconds, lambda: self._arrive(group))
        return group

    def _arrive(self, arrival):
        arrival.here = True

    def activate(self, group):
        def begin():
            for row, answer in zip(group.rows, group.answers, strict=True):
                self.left[row], self.tokens[row] = answer.limit - 1, 1

        self.device.queue("steps", 0.0, begin)

    def run(self, rows, longest, random, steps):
        for _ in range(steps):
            self.device.queue("steps", self.device.step_s + self.device.row_s * rows, self._step)

    def _step(self):
        for row, left in enumerate(self.left):
            if left:
                self.left[row] -= 1
                self.tokens[row] += 1

    def halt(self, rows):
        def end():
            for row in rows:
                self.left[row] = 0

        self.device.queue("steps", 0.0, end)

    def snapshot(self):
        seen = Arrival(self.device)

        def look():
            seen.tensors, seen.here = (torch.tensor([[left > 0 for left in self.left], self.tokens]),), True

        self.device.queue("steps", 0.0, look)
        self.device.advance(ROUND_S)
        return seen

    def collect(self, rows):
        steps = torch.tensor([self.tokens[row] for row in rows])
        zeros = torch.zeros(len(rows), int(steps.max()))
        return Arrival(self.device, (zeros.long(), zeros, zeros, zeros, steps, torch.zeros(len(rows))), here=True)
