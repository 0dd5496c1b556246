"""Settings of the engine. Knows numbers only."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass, field

from backends.vlm.repetition import RepetitionRule
from backends.vlm.sampling import GREEDY, Sampling
from backends.vlm.scheduler import GroupLimits

ENGINE_DIED = 70
"""Exit status of a process whose engine died: its jobs come back to the queue when it is gone."""


def end_process(cause: BaseException) -> None:
    """End the process at once: a device that is lost never comes back within it."""
    logging.getLogger(__name__).critical("the engine died: %s: %s", type(cause).__name__, cause)
    os._exit(ENGINE_DIED)


@dataclass(frozen=True)
class EngineSettings:
    """How large and how eager an engine is.

    `slots`: documents read at once at most; fewer where memory is short. `slot_tokens`: positions of a slot, prompt and
    answer together. `answer_tokens`: the longest answer, whatever is asked for. `hold_s`: how long a slot is kept for
    its document's next question while others wait. `steps_per_look`: steps between two
    looks of the host. `prefills_ahead`: groups being prefilled at once. `length_bucket`: step of the lengths that
    attention is captured for where it cannot stop at the filled length. `spare_bytes`: device memory left to others.
    `overlap`: prefill beside decoding, CUDA only. `fused`: call the layers in fewer operations, with fused kernels
    where there are any; `capture`: capture steps as CUDA graphs; neither works with weights that are fetched from the
    host. `random`: capture steps that draw at random too (they run uncaptured otherwise). `uncaptured`: read on where a
    capture fails, slower, instead of refusing to. `stalled_s`: how long a round may take.
    """

    slots: int = 64
    slot_tokens: int = 4096
    answer_tokens: int = 2048
    group: GroupLimits = field(default_factory=GroupLimits)
    patience_s: float = 0.1
    hold_s: float = 10.0
    steps_per_look: int = 4
    prefills_ahead: int = 2
    length_bucket: int = 512
    repetition: RepetitionRule = field(default_factory=RepetitionRule)
    sampling: Sampling = GREEDY
    spare_bytes: int = 512 * 1024**2
    overlap: bool = True
    fused: bool = True
    capture: bool = True
    random: bool = False
    uncaptured: bool = False
    stalled_s: float = 120.0
    on_death: Callable[[BaseException], None] = end_process

    def __post_init__(self) -> None:
        if self.slots < 1 or self.steps_per_look < 1 or self.prefills_ahead < 1:
            raise ValueError("an engine needs at least one slot, one step between looks and one prefill ahead")
        if self.answer_tokens + 1 >= self.slot_tokens:
            raise ValueError(
                f"an answer of {self.answer_tokens} tokens leaves no prompt in {self.slot_tokens} positions"
            )
