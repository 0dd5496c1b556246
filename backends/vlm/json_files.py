"""JSON files of a checkpoint, and errors about them. Knows no fields."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from router.errors import BackendError


def read_json(path: Path) -> dict[str, Any]:
    """Return the object in a file; raise `BackendError` where it cannot be read or is none."""
    try:
        content = json.loads(path.read_bytes())
    except OSError as exc:
        raise BackendError(f"{path.parent} has no readable {path.name}: it is half-copied or not a checkpoint") from exc
    except ValueError as exc:
        raise BackendError(f"{path} is damaged ({exc}): copy the checkpoint again") from exc
    if not isinstance(content, dict):
        raise BackendError(f"{path} is damaged: copy the checkpoint again")
    return content


def one_line(exc: BaseException) -> str:
    """Return what a foreign exception says on one line, no longer than a line may be."""
    return " ".join(str(exc).split())[:200] or type(exc).__name__
