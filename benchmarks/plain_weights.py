"""Fusion weights set by hand: what a fit starts from and is drawn to where the data say little. Knows no data.

A lone reading keeps its own probability; agreement, checks and grounding move it by plausible amounts.
"""

from __future__ import annotations

from router.confidence import Feature, FusionWeights

_FEATURES = {
    "p_own": Feature(transform="logit", weight=1.0),
    "p_same": Feature(transform="logit", weight=0.4),
    "agree": Feature(transform="identity", weight=0.7),
    "p_against": Feature(transform="logit", weight=-0.4),
    "disagree": Feature(transform="identity", weight=-0.6),
    "similarity": Feature(transform="identity", weight=0.3),
    "ungrounded": Feature(transform="identity", weight=-1.5),
    "checks_passed": Feature(transform="identity", weight=0.2),
    "checks_failed": Feature(transform="identity", weight=-0.5),
    "absent": Feature(transform="identity", weight=0.0),
    "missing": Feature(transform="identity", weight=-4.0),
    "by_validator": Feature(transform="identity", weight=2.5),
    "by_grounding": Feature(transform="identity", weight=1.5),
    "min_logprob": Feature(transform="identity", weight=0.1),
}


def plain_weights() -> FusionWeights:
    """Return the weights set by hand."""
    return FusionWeights(version="plain", origin="set by hand", intercept=0.0, features=_FEATURES)
