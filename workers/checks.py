"""What a check found, as data. Knows nothing of what is checked."""

from __future__ import annotations

from typing import Literal

from router.types import Frozen

Finding = Literal["ok", "warn", "fail"]


class Check(Frozen):
    """One thing that was looked at: fail stops the service or loses work, warn will sooner or later hurt."""

    name: str
    state: Finding
    detail: str
    advice: str = ""


def ok(name: str, detail: str) -> Check:
    """Return a check that found nothing wrong."""
    return Check(name=name, state="ok", detail=detail)


def warn(name: str, detail: str, advice: str) -> Check:
    """Return a check that found what will hurt, with what to do."""
    return Check(name=name, state="warn", detail=detail, advice=advice)


def fail(name: str, detail: str, advice: str = "") -> Check:
    """Return a check that found what must be mended, with what to do where the detail does not say it."""
    return Check(name=name, state="fail", detail=detail, advice=advice)
