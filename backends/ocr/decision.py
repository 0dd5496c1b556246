"""Which value is a field's, over one reading or several of the same document, and what speaks for it.

With several readings the first is their consensus. The trees' log-odds on it decide, the same value's log-odds in the
single readings break near ties; how far the readings agree goes into the confidence. Knows no file and no fitting.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from backends.ocr.pool import Pool, Pooled, spelling

CONFIDENCE_COLUMNS = (
    "best_logit", "mean_logit", "first_logit", "readings", "plainly_first", "plainly", "repaired", "edits",
    "unknown_share", "lowest", "mean", "leads_in", "log_odds", "lead", "log_candidates", "certain_source",
)  # fmt: skip
_LIMIT = 8.0
_OTHERS_WEIGHT = 0.15
_KEPT = 12


@dataclass(frozen=True)
class Rated:
    """One reading's candidates of a field and the trees' log-odds for each."""

    pool: Pool
    logits: np.ndarray


@dataclass
class Value:
    """One distinct value: the entry it was first met in, and for each reading its log-odds (None: not read there)."""

    pool: Pool
    entry: Pooled
    logits: list[float | None]
    plainly: list[bool]
    certainties: list[float] = field(default_factory=list)
    score: float = 0.0

    def clipped(self) -> list[float]:
        """Return the log-odds within +-8; a reading without the value says -8."""
        return [-_LIMIT if x is None else min(max(x, -_LIMIT), _LIMIT) for x in self.logits]


def rank(readings: Sequence[Rated]) -> list[Value]:
    """Return the distinct values of a field, best first."""
    found: dict[str, Value] = {}
    for number, rated in enumerate(readings):
        for i in np.argsort(-rated.logits, kind="stable")[:_KEPT]:
            _add(found, number, len(readings), rated.pool, rated.pool.entries[i], float(rated.logits[i]))
    for value in found.values():
        first, *others = value.clipped()
        value.score = first + (_OTHERS_WEIGHT * sum(others) / len(readings) if others else 0.0)
    return sorted(found.values(), key=lambda v: -v.score)


def _add(found: dict[str, Value], number: int, count: int, pool: Pool, entry: Pooled, logit: float) -> None:
    key = spelling(entry.candidate.value)
    value = found.setdefault(key, Value(pool, entry, [None] * count, [False] * count))
    known = value.logits[number]
    value.logits[number] = logit if known is None else max(known, logit)
    value.plainly[number] |= entry.repair is None
    read = pool.certainties(entry)
    if not value.certainties or min(read, default=0.0) > min(value.certainties):
        value.certainties = read or [0.0]


def evidence(ranked: Sequence[Value], readings: Sequence[Rated]) -> dict[str, float]:
    """Return the columns of the confidence model for the best value."""
    best = ranked[0]
    logits, count = best.clipped(), len(readings)
    tops = [max((float(x) for x in r.logits), default=-_LIMIT) for r in readings]
    scores = np.array([v.score for v in ranked])
    share = float(1.0 / np.exp(scores - scores[0]).sum())
    done = best.entry.repair if not any(best.plainly) else None
    return {
        "best_logit": max(logits),
        "mean_logit": sum(logits) / count,
        "first_logit": logits[0],
        "readings": sum(x is not None for x in best.logits) / count,
        "plainly_first": float(best.plainly[0]),
        "plainly": sum(best.plainly) / count,
        "repaired": float(not any(best.plainly)),
        "edits": float(done.edits if done else 0),
        "unknown_share": best.entry.unknown,
        "lowest": float(np.log(1.02 - min(best.certainties))),
        "mean": float(np.log(1.01 - sum(best.certainties) / len(best.certainties))),
        "leads_in": sum(x is not None and x >= t - 1e-6 for x, t in zip(best.logits, tops, strict=True)) / count,
        "log_odds": float(np.log(share / (1.0 - share + 1e-4))),
        "lead": float(min(scores[0] - scores[1], _LIMIT)) if len(ranked) > 1 else _LIMIT,
        "log_candidates": float(np.log(len(ranked))),
        "certain_source": float(min(best.certainties) >= 1.0),
    }
