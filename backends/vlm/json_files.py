"""JSON files of a checkpoint, and errors about them. Knows no fields."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from backends.vlm.hub import fetch_again
from router.errors import BackendError


def read_json(path: Path) -> dict[str, Any]:
    """Return the object in a file; raise `BackendError` where it cannot be read or is none."""
    try:
        content = json.loads(path.read_bytes())
    except OSError as exc:
        why = "" if isinstance(exc, FileNotFoundError) else f" ({exc.strerror})"
        told = f"{path.parent} has no readable {path.name}{why}: it is half-copied or not a checkpoint"
        raise BackendError(told) from exc
    except (ValueError, RecursionError) as exc:
        raise BackendError(f"{path} is damaged ({exc})") from exc
    if not isinstance(content, dict):
        raise BackendError(f"{path} is damaged (it holds no object)")
    return content


def read_part(path: Path, model_type: str) -> dict[str, Any]:
    """Return the object in a file of a checkpoint; raise `BackendError` with how to fetch it again."""
    try:
        return read_json(path)
    except BackendError as exc:
        raise BackendError(f"{exc}; {fetch_again(path.parent, model_type)}") from exc


def one_line(exc: BaseException) -> str:
    """Return what a foreign exception says on one line, no longer than a line may be."""
    return " ".join(str(exc).split())[:200] or type(exc).__name__
