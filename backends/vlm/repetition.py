"""Notices an answer that goes round in circles, on the device. Knows token ids only.

A table may rightly repeat a row, so one repeat proves nothing: a run is endless when it has come back with the same
period for many tokens and several times over.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class RepetitionRule:
    """An answer is endless when its last tokens repeat with one period up to `longest_period`, for at least
    `least_tokens` tokens and at least `least_rounds` times; `longest_period` 0 switches it off."""

    longest_period: int = 64
    least_tokens: int = 64
    least_rounds: int = 8

    def thresholds(self, device: torch.device) -> Tensor:
        """Return how long a run must be for each period, int64 (longest_period,)."""
        periods = torch.arange(1, self.longest_period + 1, device=device)
        return torch.clamp(periods * self.least_rounds, min=self.least_tokens)


def extend_runs(runs: Tensor, written: Tensor, steps: Tensor, token: Tensor) -> Tensor:
    """Return the runs (rows, periods) after each row wrote `token` (rows,) at index `steps` (rows,).

    `written` (rows, positions) holds the tokens so far; runs[r, p] counts how many tokens in a row equalled the one
    p + 1 before them.
    """
    periods = torch.arange(1, runs.shape[1] + 1, device=runs.device)
    before = steps[:, None] - periods
    same = (written.gather(1, before.clamp(min=0)) == token[:, None]) & (before >= 0)
    return (runs + 1) * same


def is_endless(runs: Tensor, thresholds: Tensor) -> Tensor:
    """Return which rows repeat beyond the rule, bool (rows,)."""
    return (runs >= thresholds).any(-1)
