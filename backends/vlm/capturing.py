"""Whether an engine may go on where its steps cannot be captured. Knows settings; must not know how.

Uncaptured, hundreds of small kernels are launched for every token: it reads, but slower. That is refused
unless it was asked for, because a worker that is slow without a word is found too late.
"""

from __future__ import annotations

import logging
from typing import Protocol

import torch

from backends.vlm.engine_settings import EngineSettings
from backends.vlm.memory import release
from backends.vlm.reading import EngineStats
from router.errors import BackendError


class Capturing(Protocol):
    """What has steps to capture."""

    def capture(self, random: bool) -> int:
        """Return how many shapes of steps are captured; raise `BackendError` where one cannot be."""
        ...


def capture(decoder: Capturing, settings: EngineSettings, stats: EngineStats, device: torch.device) -> int:
    """Return how many shapes of steps are captured: none after a failure where `settings.uncaptured` allows it.

    A failure is counted in `stats.capture_failures`. Raises `BackendError` where steps have to be captured.
    """
    try:
        return decoder.capture(settings.random)
    except BackendError as exc:
        stats.capture_failures += 1
        if not settings.uncaptured:
            told = f"{exc}: update the driver and torch, or set uncaptured = true to read without, slower"
            raise BackendError(told) from exc
        logging.getLogger(__name__).warning("%s: steps run uncaptured, slower", exc)
    release(device)  # outside of the handler, whose traceback would keep the tensors of the failed capture
    return 0
