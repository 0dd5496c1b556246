"""Whether a checkpoint folder is whole and of the right kind, and which one it is. Must not know devices or tiles.

Everything that can be wrong with a checkpoint is found here and by `processor`, before any job is taken: a folder that
is half-copied, another architecture, other sizes than its files have. There is never a fallback to another checkpoint.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backends.vlm.hub import fetch_again
from backends.vlm.json_files import read_part
from backends.vlm.weight_files import Shapes, rows_and_width, shapes, weight_files
from router.errors import BackendError

NATIVE = {"internvl": "InternVL3", "mllama": "Llama 3.2 Vision"}
"""Architectures that transformers has itself, by the `model_type` of their configuration."""
REMOTE_CODE = "internvl_chat"
"""The architecture of the original InternVL checkpoints, whose code comes with the weights."""
EXTRA_ROWS = {"internvl": 0, "mllama": 8}
"""Rows of the embeddings that the output layer does not have, by model type."""

_TEXT_LAYER = re.compile(r"language_model\.(?:model\.)?layers\.(\d+)\.")
_SAMPLE_BYTES = 1024**2
_SAMPLES_PER_FILE = 16


@dataclass(frozen=True)
class Identity:
    """Which weights read a document: `weights_hash` tells two checkpoints of one name apart."""

    id: str
    revision: str | None
    weights_hash: str


def check(folder: Path, expected: str, remote_code: bool = False) -> dict[str, Any]:
    """Return the configuration of a whole checkpoint of the expected `model_type`; raise `BackendError` otherwise."""
    config = read_part(folder / "config.json", expected)
    found = config.get("model_type")
    if found == REMOTE_CODE and expected == "internvl":
        if not remote_code:
            raise BackendError(
                f"{folder} is the original InternVL checkpoint, which runs code of its own: use the one whose name "
                "ends in -hf, or allow that code with remote_code"
            )
        _shapes(folder, expected)
        _one_of(folder, expected, "tokenizer.json", "tokenizer_config.json")
        return config
    if found != expected:
        raise BackendError(
            f"{folder} holds a model of type {found!r}, not {expected!r} ({NATIVE[expected]}): check the checkpoint"
        )
    _check_parts(folder, config)
    _check_sizes(folder, config)
    _one_of(folder, expected, "tokenizer.json")
    _one_of(folder, expected, "tokenizer_config.json")
    _check_pictures(folder, expected)
    return config


def _check_parts(folder: Path, config: Mapping[str, Any]) -> None:
    """transformers fills a part that is missing with sizes of its own and says so nowhere."""
    for part in ("text_config", "vision_config"):
        if isinstance(config.get(part), dict):
            continue
        elsewhere = [name for name, value in config.items() if isinstance(value, dict) and "vocab_size" in value]
        place = f"under {elsewhere[0]!r}" if elsewhere else "among its own fields" if "vocab_size" in config else None
        told = f", its text part stands {place}" if part == "text_config" and place else ""
        raise BackendError(
            f"config.json of {folder} has no {part}{told}: it was written for other code; "
            f"{fetch_again(folder, str(config['model_type']))}"
        )


def _check_sizes(folder: Path, config: Mapping[str, Any]) -> None:
    """Compare the rows and width of embeddings and output layer, and the number of layers, with the configuration's.

    Of layers that are too many transformers only writes a log, and reads without them.
    """
    text, model_type = config["text_config"], str(config["model_type"])
    found = _shapes(folder, model_type)
    rows, width = text.get("vocab_size"), text.get("hidden_size")
    wanted = {"embed_tokens.weight": rows and rows + EXTRA_ROWS[model_type], "lm_head.weight": rows}
    for name, count in wanted.items():
        shape = rows_and_width(found, name)
        if shape and count and width and shape != (count, width):
            raise BackendError(
                f"{folder} has weights of another model than its config.json: {name} is {shape[0]} x {shape[-1]}, not "
                f"{count} x {width}; {fetch_again(folder, model_type)}"
            )
    layers = {match[1] for name in found if (match := _TEXT_LAYER.search(name))}
    count = text.get("num_hidden_layers")
    if layers and count and len(layers) != count:
        raise BackendError(
            f"{folder} has weights of another model than its config.json: {len(layers)} layers of text, not {count}; "
            f"{fetch_again(folder, model_type)}"
        )


def identify(checkpoint: str, revision: str | None, folder: Path) -> Identity:
    """Return which checkpoint a folder holds; a snapshot's folder is named by its commit.

    The hash covers names, sizes and headers of all files of weights and blocks spread over them, not every byte:
    reading 20 GB twice would double the time to start. It tells checkpoints apart; it does not find a flipped bit.
    """
    commit = folder.name if folder.parent.name == "snapshots" else None
    digest = hashlib.sha256()
    for weights in weight_files(folder):
        size = weights.stat().st_size
        digest.update(f"{weights.name} {size}\n".encode())
        with weights.open("rb") as file:
            digest.update(file.read(min(size, _SAMPLE_BYTES)))
            for step in range(1, _SAMPLES_PER_FILE + 1):
                file.seek(max(0, size * step // _SAMPLES_PER_FILE - _SAMPLE_BYTES // _SAMPLES_PER_FILE))
                digest.update(file.read(_SAMPLE_BYTES // _SAMPLES_PER_FILE))
    name = checkpoint if commit or not Path(checkpoint).expanduser().is_dir() else folder.resolve().name
    return Identity(id=name, revision=commit or revision, weights_hash=digest.hexdigest()[:16])


def _check_pictures(folder: Path, model_type: str) -> None:
    """Rules for pictures stand in a file of their own, or with the rest of the processor in newer checkpoints."""
    whole = folder / "processor_config.json"
    if not (whole.is_file() and "image_processor" in read_part(whole, model_type)):
        _one_of(folder, model_type, "preprocessor_config.json")


def _shapes(folder: Path, model_type: str) -> Shapes:
    try:
        return shapes(folder)
    except BackendError as exc:
        raise BackendError(f"{exc}; {fetch_again(folder, model_type)}") from exc


def _one_of(folder: Path, model_type: str, *names: str) -> None:
    if not any((folder / name).is_file() for name in names):
        told = f"{folder} is half-copied: there is no {' and no '.join(names)}"
        raise BackendError(f"{told}; {fetch_again(folder, model_type)}")
