"""What the device knows of each slot, and how a step changes it. Must not know requests, threads or graphs.

All decisions of a step - the token, stop tokens, budgets, endless repetition - are made on the device, so that the host
looks only every few steps and never waits for a single one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import get_args

import torch
from torch import Tensor

from backends.vlm.kernels import Scores
from backends.vlm.repetition import RepetitionRule, extend_runs, is_endless
from backends.vlm.requests import FinishReason
from backends.vlm.sampling import Draw, Sampling

REASONS: tuple[FinishReason, ...] = get_args(FinishReason)
_STOP, _LENGTH, _REPETITION = (REASONS.index(reason) for reason in ("stop", "length", "repetition"))


@dataclass(frozen=True)
class SlotState:
    """Tensors with a row a slot. `tokens`, `logprobs`, `entropies`, `margins`: (slots, answer + 1), the last column a
    spare that idle rows write to. `step` counts an answer's tokens, `position` is where the next key goes."""

    token: Tensor
    position: Tensor
    step: Tensor
    limit: Tensor
    live: Tensor
    reason: Tensor
    cross_lengths: Tensor
    temperature: Tensor
    top_p: Tensor
    uniforms: Tensor
    runs: Tensor
    tokens: Tensor
    logprobs: Tensor
    entropies: Tensor
    margins: Tensor

    def first(self, rows: int) -> SlotState:
        """Return views of the first rows: changing them changes this state."""
        return SlotState(*(getattr(self, field.name)[:rows] for field in fields(self)))

    def take(self, rows: Tensor) -> SlotState:
        """Return copies of some rows, int64 (n,)."""
        return SlotState(*(getattr(self, field.name)[rows] for field in fields(self)))

    def put(self, rows: Tensor, part: SlotState) -> None:
        """Write rows that were taken back."""
        for field in fields(self):
            getattr(self, field.name).index_copy_(0, rows, getattr(part, field.name))


@dataclass(frozen=True)
class StepRules:
    """What ends an answer: stop tokens int64 (n,), and runs as long as `run_limits` int64 (periods,)."""

    stop_tokens: Tensor
    run_limits: Tensor
    idle_position: int

    @classmethod
    def of(
        cls, stop_tokens: Sequence[int], repetition: RepetitionRule, idle_position: int, device: torch.device
    ) -> StepRules:
        """Return the rules with their constants on the device, where a captured step needs them."""
        stops = torch.tensor(list(stop_tokens) or [-1], device=device)
        return cls(stops, repetition.thresholds(device), idle_position)


@dataclass(frozen=True)
class NewAnswer:
    """What a slot is to do next: its prompt's length, the most tokens of its answer, how they are chosen."""

    prompt_tokens: int
    limit: int
    sampling: Sampling


def empty_state(slots: int, answer_tokens: int, rules: StepRules) -> SlotState:
    """Return a state of idle slots for answers of so many tokens at most."""
    device = rules.stop_tokens.device

    def whole(*size: int) -> Tensor:
        return torch.zeros(slots, *size, dtype=torch.long, device=device)

    def real(*size: int) -> Tensor:
        return torch.zeros(slots, *size, device=device)

    columns = answer_tokens + 1
    return SlotState(
        token=whole(),
        position=whole().fill_(rules.idle_position),
        step=whole(),
        limit=whole(),
        live=whole().bool(),
        reason=whole(),
        cross_lengths=whole().fill_(1),
        temperature=real(),
        top_p=real().fill_(1.0),
        uniforms=real(columns),
        runs=whole(len(rules.run_limits)),
        tokens=whole(columns),
        logprobs=real(columns),
        entropies=real(columns),
        margins=real(columns),
    )


def begin(slots: SlotState, rows: Tensor, answers: Sequence[NewAnswer], cross_lengths: Tensor | None) -> SlotState:
    """Return copies of `rows` (n,) reset for new answers, as they are just before their first token.

    Without `cross_lengths` (n,) the slots keep their own: a follow-up is about the same pictures.
    """
    device, columns = slots.token.device, slots.tokens.shape[1]
    numbers = torch.tensor([[a.prompt_tokens, a.limit] for a in answers])
    chances = torch.stack([a.sampling.uniforms(columns) for a in answers])
    heat = torch.tensor([[a.sampling.temperature, a.sampling.top_p] for a in answers])
    if device.type == "cuda":
        numbers, chances, heat = numbers.pin_memory(), chances.pin_memory(), heat.pin_memory()
    numbers, chances, heat = (t.to(device, non_blocking=True) for t in (numbers, chances, heat))
    part = slots.take(rows)
    part.position.copy_(numbers[:, 0])
    part.limit.copy_(numbers[:, 1])
    part.step.zero_()
    part.live.fill_(True)
    part.reason.zero_()
    part.runs.zero_()
    part.uniforms.copy_(chances)
    part.temperature.copy_(heat[:, 0])
    part.top_p.copy_(heat[:, 1])
    if cross_lengths is not None:
        part.cross_lengths.copy_(cross_lengths)
    return part


def filled_lengths(slots: SlotState) -> Tensor:
    """Return how many positions of each row a step reads, its own included; an idle row reads one, int64 (rows,)."""
    return torch.where(slots.live, slots.position + 1, torch.ones_like(slots.position))


def draw_of(slots: SlotState) -> Draw:
    """Return what decides the next draw of each row."""
    uniform = slots.uniforms.gather(1, slots.step.clamp(max=slots.uniforms.shape[1] - 1)[:, None])[:, 0]
    return Draw(slots.temperature, slots.top_p, uniform)


def emit(slots: SlotState, chosen: Scores, rules: StepRules, fed: int) -> None:
    """Write each live row's chosen token and decide whether its answer ends with it.

    `fed`: tokens whose keys were written by the step that gave these scores: 1 for a decode step, 0 for a prefill,
    which has its positions set already. Idle rows change nothing that anybody reads.
    """
    spare = slots.tokens.shape[1] - 1
    column = torch.where(slots.live, slots.step, torch.full_like(slots.step, spare))[:, None]
    for written, value in (
        (slots.tokens, chosen.token),
        (slots.logprobs, chosen.logprob),
        (slots.entropies, chosen.entropy),
        (slots.margins, chosen.margin),
    ):
        written.scatter_(1, column, value[:, None].to(written.dtype))
    slots.runs.copy_(extend_runs(slots.runs, slots.tokens, slots.step, chosen.token))
    slots.step.add_(slots.live)
    stopped = (chosen.token[:, None] == rules.stop_tokens).any(-1)
    endless = is_endless(slots.runs, rules.run_limits)
    full = slots.step >= slots.limit
    why = torch.full_like(slots.reason, _LENGTH).masked_fill(endless, _REPETITION).masked_fill(stopped, _STOP)
    ended = slots.live & (stopped | endless | full)
    slots.reason.copy_(torch.where(ended, why, slots.reason))
    slots.live.logical_and_(~ended)
    slots.token.copy_(chosen.token)
    moved = slots.position + fed
    slots.position.copy_(torch.where(slots.live, moved, torch.full_like(moved, rules.idle_position)))


def halt(slots: SlotState, rows: Tensor, rules: StepRules) -> None:
    """Make rows (n,) idle where they are; what they wrote stays."""
    slots.live.index_fill_(0, rows, False)
    slots.position.index_fill_(0, rows, rules.idle_position)
