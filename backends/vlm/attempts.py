"""A prefill that may fail, and what its failure means. Must not know what was prefilled."""

from __future__ import annotations

from collections.abc import Callable

import torch

from backends.vlm.decoder import Prefilled


def attempt(prefill: Callable[[], Prefilled]) -> Prefilled | Exception | None:
    """Return what was queued, what went wrong, or None where memory is short: a traceback would keep the tensors."""
    try:
        return prefill()
    except torch.OutOfMemoryError:
        return None
    except Exception as exc:
        return exc


def device_is_lost(failure: Exception) -> bool:
    """Return whether it is a fault of the device, and not of one document: every later call fails too then."""
    return isinstance(failure, getattr(torch, "AcceleratorError", ())) or "CUDA error" in str(failure)
