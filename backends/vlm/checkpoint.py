"""Where a checkpoint lies, whether it is whole, and which one it is. Knows files; must not know devices or tiles.

Everything that can be wrong with a checkpoint is found here, before any job is taken: a folder that is missing or
half-copied, another architecture, no processor. There is never a fallback to another checkpoint.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from router.errors import BackendError, BackendUnavailableError

NATIVE = {"internvl": "InternVL3", "mllama": "Llama 3.2 Vision"}
"""Architectures that transformers has itself, by the `model_type` of their configuration."""
REMOTE_CODE = "internvl_chat"
"""The architecture of the original InternVL checkpoints, whose code comes with the weights."""

_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
_FILES = ["*.json", "*.safetensors", "*.jinja", "*.txt", "*.model"]
_HEADER_LIMIT_BYTES = 100 * 1024**2
_SAMPLE_BYTES = 1024**2
_SAMPLES_PER_FILE = 16


@dataclass(frozen=True)
class Identity:
    """Which weights read a document: `weights_hash` tells two checkpoints of one name apart."""

    id: str
    revision: str | None
    weights_hash: str


def locate(checkpoint: str, revision: str | None = None, remote_code: bool = False, download: bool = False) -> Path:
    """Return the folder of a checkpoint: itself, or the snapshot of a hub id that was downloaded before.

    With `download` a snapshot that is not here is fetched. Raises `BackendUnavailableError` when there is none, with
    what to do.
    """
    folder = Path(checkpoint).expanduser()
    if folder.is_dir():
        return folder
    if not _HUB_ID.fullmatch(checkpoint):
        raise BackendUnavailableError(
            f"there is no checkpoint folder {checkpoint}; give the folder that holds its config.json, or a hub id like "
            "OpenGVLab/InternVL3-2B-hf"
        )
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, LocalEntryNotFoundError, RepositoryNotFoundError

    files = [*_FILES, "*.py"] if remote_code else _FILES
    try:
        return Path(
            snapshot_download(checkpoint, revision=revision, allow_patterns=files, local_files_only=not download)
        )
    except GatedRepoError as exc:
        raise BackendUnavailableError(
            f"{checkpoint} is gated; accept its licence on its page and log in with `hf auth login`"
        ) from exc
    except RepositoryNotFoundError as exc:
        raise BackendUnavailableError(f"the hub has no {checkpoint}, or it is private; check the name") from exc
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as exc:
        if not download:
            at = f" --revision {revision}" if revision else ""
            raise BackendUnavailableError(
                f"the checkpoint {checkpoint} is not on this machine; run `hf download {checkpoint}{at}`, or give a "
                "folder that holds it"
            ) from exc
        raise BackendUnavailableError(
            f"{checkpoint} cannot be downloaded ({type(exc).__name__}); check the revision and the network, or give a "
            "folder that holds the checkpoint"
        ) from exc


def check(folder: Path, expected: str, remote_code: bool = False) -> dict[str, Any]:
    """Return the configuration of a whole checkpoint of the expected `model_type`; raise `BackendError` otherwise."""
    config = _json(folder / "config.json")
    found = config.get("model_type")
    if found == REMOTE_CODE and expected == "internvl":
        if not remote_code:
            raise BackendError(
                f"{folder} is the original InternVL checkpoint, which runs code of its own: use the one whose name "
                "ends in -hf, or allow that code with remote_code"
            )
    elif found != expected:
        raise BackendError(
            f"{folder} holds a model of type {found!r}, not {expected!r} ({NATIVE[expected]}): check the checkpoint"
        )
    for weights in weight_files(folder):
        _check_weights(weights)
    _one_of(folder, "tokenizer.json", "tokenizer_config.json")
    if found != REMOTE_CODE:
        _one_of(folder, "processor_config.json", "preprocessor_config.json")
    return config


def weight_files(folder: Path) -> list[Path]:
    """Return all files of weights that the checkpoint's index names; raise `BackendError` when one is missing."""
    index, single = folder / "model.safetensors.index.json", folder / "model.safetensors"
    if index.is_file():
        names = sorted(set(_json(index).get("weight_map", {}).values()))
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


_INTERNVL_PROCESSOR = "InternVLProcessor"
_PROCESSORS = {"mllama": "MllamaProcessor"}


def check_processor(model: Any, processor: Any) -> None:
    """Raise `BackendError` where a processor does not fit its model: it would put wrong numbers into the prompt."""
    config = model.config
    wanted, found = _PROCESSORS.get(config.model_type, _INTERNVL_PROCESSOR), type(processor).__name__
    if found != wanted:
        raise BackendError(f"the checkpoint's processor does not match its model: it is a {found}, not {wanted}")
    images, tokenizer = processor.image_processor, processor.tokenizer
    vision = config.vision_config
    side = vision.image_size if isinstance(vision.image_size, int) else vision.image_size[0]
    facts = {
        "size of a tile": (int(images.size["height"]), int(side)),
        "image token": (processor.image_token_id, config.image_token_id),
    }
    if config.model_type == "mllama":
        facts["most tiles"] = (int(images.max_image_tiles), int(vision.max_num_tiles))
    else:
        patch = vision.patch_size if isinstance(vision.patch_size, int) else vision.patch_size[0]
        facts["tokens of a tile"] = (
            int(processor.image_seq_length),
            int((side // patch * config.downsample_ratio) ** 2),
        )
    wrong = [f"{name} {has} instead of {wants}" for name, (has, wants) in facts.items() if has != wants]
    rows = model.get_input_embeddings().weight.shape[0]
    if len(tokenizer) > rows:
        wrong.append(f"{len(tokenizer)} tokens for {rows} embeddings")
    if not processor.chat_template:
        wrong.append("no chat template")
    if wrong:
        raise BackendError(f"the checkpoint's processor does not match its model: {'; '.join(wrong)}")


def _check_weights(path: Path) -> None:
    """A safetensors file says in its header where its last tensor ends: a shorter file was cut off in copying."""
    size = path.stat().st_size
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if not 2 <= length <= _HEADER_LIMIT_BYTES:
                raise ValueError("no header")
            header = json.loads(file.read(length))
        ends = [tensor["data_offsets"][1] for name, tensor in header.items() if name != "__metadata__"]
    except (ValueError, KeyError, TypeError, AttributeError) as exc:
        raise BackendError(f"{path} is no file of weights, or its beginning is damaged: copy it again") from exc
    if size != 8 + length + max(ends, default=0):
        raise BackendError(f"{path} is half-copied: {size} bytes of {8 + length + max(ends, default=0)}; copy it again")


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except OSError as exc:
        raise BackendError(f"{path.parent} has no readable {path.name}: it is half-copied or not a checkpoint") from exc
    except ValueError as exc:
        raise BackendError(f"{path} is damaged ({exc}): copy the checkpoint again") from exc
    if not isinstance(content, dict):
        raise BackendError(f"{path} is damaged: copy the checkpoint again")
    return content


def _one_of(folder: Path, *names: str) -> None:
    if not any((folder / name).is_file() for name in names):
        raise BackendError(f"{folder} is half-copied: there is no {' and no '.join(names)}")
