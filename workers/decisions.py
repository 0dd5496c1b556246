"""The decisions that the settings ask for: those of the pair of lanes, or of a file, under the policy and the budget.

Knows settings and names of backends; makes no lane.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from router.decisions import Decisions, decisions_for, load_decisions, neutral_decisions
from router.errors import SettingsError
from router.policy import load_policy
from workers.settings import Settings

UNREADABLE = "cannot be read"


def create_decisions(settings: Settings, backend: str | None = None) -> Decisions:
    """Return the decisions of a process; raise `SettingsError` naming the file and the cause.

    `backend`: what the process reads with where the settings name it for no lane; the neutral decisions then stand for
    those of the pair.
    """
    lanes, own = settings.lanes, settings.policy
    if own.decisions is not None:
        found = load_decisions(Path(own.decisions))
    elif backend is not None and backend not in (lanes.fast, lanes.deep):
        found = neutral_decisions()
    else:
        found = decisions_for(lanes.fast, lanes.deep)
    if own.file is not None:
        found = found.with_policy(load_policy(Path(own.file)))
    return found if own.budget is None else found.with_budget(own.budget)


def decisions_identity(settings: Settings) -> str:
    """Return the version of the decisions and a hash of all numbers in them, the same wherever the files lie."""
    try:
        found = create_decisions(settings)
    except SettingsError:
        return UNREADABLE
    return f"{found.version} {hashlib.sha256(found.model_dump_json().encode()).hexdigest()[:12]}"
