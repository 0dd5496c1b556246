"""A checkpoint's files of weights: which there are, whether they are whole, and the shapes that their headers tell.

Reads headers alone, never a weight. Must not know models or devices.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from backends.vlm.json_files import read_json
from router.errors import BackendError

Shapes = Mapping[str, tuple[int, ...]]

_HEADER_LIMIT_BYTES = 100 * 1024**2


def weight_files(folder: Path) -> list[Path]:
    """Return all files of weights that the checkpoint's index names; raise `BackendError` when one is missing."""
    index, single = folder / "model.safetensors.index.json", folder / "model.safetensors"
    if index.is_file():
        named = read_json(index).get("weight_map")
        names = sorted({str(name) for name in named.values()}) if isinstance(named, dict) else []
        missing = [name for name in names if not (folder / name).is_file()]
        if missing or not names:
            raise BackendError(
                f"{folder} is half-copied: {len(missing)} of {len(names)} files of weights are missing"
                + (f" ({missing[0]} is one)" if missing else "")
            )
        return [folder / name for name in names]
    if single.is_file():
        return [single]
    raise BackendError(f"{folder} has no weights (model.safetensors): it is half-copied or not a checkpoint")


def shapes(folder: Path) -> Shapes:
    """Return the shape of every weight by its name in the files; raise `BackendError` where a file is not whole."""
    return {name: shape for path in weight_files(folder) for name, shape in _shapes(path).items()}


def rows_and_width(found: Shapes, name: str) -> tuple[int, ...] | None:
    """Return the shape of the matrix whose name ends so, whatever stands before it; None where there is none."""
    return next((shape for full, shape in found.items() if full == name or full.endswith("." + name)), None)


def _shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """A safetensors file says in its header where its last tensor ends: a shorter file was cut off in copying."""
    size = path.stat().st_size
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if not 2 <= length <= _HEADER_LIMIT_BYTES:
                raise ValueError("no header")
            header: dict[str, Any] = json.loads(file.read(length))
        header.pop("__metadata__", None)
        ends = [tensor["data_offsets"][1] for tensor in header.values()]
        found = {name: tuple(tensor["shape"]) for name, tensor in header.items()}
    except OSError as exc:
        raise BackendError(f"{path} cannot be read ({exc.strerror})") from exc
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as exc:
        raise BackendError(f"{path} is no file of weights, or its beginning is damaged") from exc
    if size != 8 + length + max(ends, default=0):
        raise BackendError(f"{path} is half-copied: {size} bytes of {8 + length + max(ends, default=0)}")
    return found
