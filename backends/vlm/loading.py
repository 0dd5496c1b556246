"""A checkpoint -> a loaded family. Brings files, precision and device together; must not know engines or requests."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch

from backends.vlm.checkpoint import NATIVE, REMOTE_CODE, Identity, check, identify
from backends.vlm.family import Family
from backends.vlm.hub import fetch_again, locate
from backends.vlm.internvl import InternVL
from backends.vlm.json_files import one_line
from backends.vlm.llama_vision import LlamaVision
from backends.vlm.offload import offload
from backends.vlm.processor import ready_processor
from backends.vlm.quantize import (
    KEPT_WHOLE,
    PRECISIONS,
    Precision,
    bitsandbytes_config,
    check_quantised,
    choose,
    footprint,
    keep_unpackable,
)
from backends.vlm.tiling import TileLimits
from backends.vlm.weight_files import rows_and_width, shapes
from router.errors import BackendError, BackendUnavailableError

_MISMATCH = "ignore_mismatched_sizes"
"""The option that transformers names where a weight has another shape than the model's."""
_DEVICE = re.compile(r"cpu|cuda(:\d{1,3})?")
FAMILIES: Mapping[str, type[InternVL] | type[LlamaVision]] = {"internvl": InternVL, "mllama": LlamaVision}


@dataclass(frozen=True)
class LoadSettings:
    """Which checkpoint, and how it is held.

    `checkpoint` is a folder or a hub id, `revision` a commit of the hub. `device`: auto, cpu, cuda or cuda:N.
    `precision` auto chooses by the device's free memory. `slot_tokens` is what a slot is to hold, for that choice.
    `remote_code` lets the original InternVL checkpoint run the code that comes with it, `download` fetches a hub id
    that is not on this machine.
    """

    checkpoint: str
    revision: str | None = None
    device: str = "auto"
    precision: Precision | Literal["auto"] = "auto"
    limits: TileLimits = field(default_factory=TileLimits)
    slot_tokens: int = 4096
    remote_code: bool = False
    download: bool = False

    def __post_init__(self) -> None:
        if self.precision != "auto" and self.precision not in PRECISIONS:
            raise BackendError(f"unknown precision {self.precision!r}; there are auto, {', '.join(PRECISIONS)}")


@dataclass(frozen=True, eq=False)
class Loaded:
    """A family ready to read, and what it is. `offloaded`: weights are fetched from the host while it computes."""

    family: Family
    identity: Identity
    precision: Precision
    offloaded: bool = False


def load_internvl(settings: LoadSettings) -> Loaded:
    """Return a loaded InternVL3; raise `BackendError` where the checkpoint is not one or is not whole."""
    return _load(settings, "internvl")


def load_llama_vision(settings: LoadSettings) -> Loaded:
    """Return a loaded Llama 3.2 Vision; raise `BackendError` where the checkpoint is not one or is not whole."""
    return _load(settings, "mllama")


def _load(settings: LoadSettings, model_type: str) -> Loaded:
    folder = locate(settings.checkpoint, settings.revision, settings.remote_code, settings.download)
    config = check(folder, model_type, settings.remote_code)
    identity = identify(settings.checkpoint, settings.revision, folder)
    if settings.revision is None and identity.revision:
        logging.getLogger(__name__).warning(
            "%s is not pinned; this machine has revision %s of it", identity.id, identity.revision
        )
    device = _device(settings.device)
    if config["model_type"] == REMOTE_CODE:
        from backends.vlm.remote_code import load_original

        return load_original(folder, settings, device, identity)
    processor = ready_processor(folder, config)
    precision, weights_bytes = _choose(folder, settings, device)
    offloaded = weights_bytes is not None
    model = _model(folder, precision, torch.device("cpu") if offloaded else device)
    if weights_bytes is not None:
        offload(model, device, weights_bytes)
    check_quantised(model, precision, KEPT_WHOLE[model_type])
    family = FAMILIES[model_type].of(model, processor, settings.limits)
    logging.getLogger(__name__).info(
        "loaded %s %s as %s%s from %s", NATIVE[model_type], identity.id, precision, ", offloaded" * offloaded, folder
    )
    return Loaded(family, identity, precision, offloaded)


def _device(name: str) -> torch.device:
    there = torch.cuda.is_available()
    if name == "auto":
        return torch.device("cuda", torch.cuda.current_device()) if there else torch.device("cpu")
    if not _DEVICE.fullmatch(name):
        raise BackendError(f"unknown device {name!r}; there are auto, cpu, cuda and cuda:N")
    device = torch.device(name)
    if device.type == "cuda":
        count = torch.cuda.device_count()
        if (device.index or 0) >= count:
            raise BackendUnavailableError(f"there is no device {name}: {count} GPUs can be seen")
        device = torch.device("cuda", device.index or 0)
    return device


def _choose(folder: Path, settings: LoadSettings, device: torch.device) -> tuple[Precision, int | None]:
    """The precision, and the bytes for weights on the device where not all of them fit."""
    if settings.precision != "auto":
        return settings.precision, None
    if device.type != "cuda":
        return "fp32", None
    free, _ = torch.cuda.mem_get_info(device)
    needs = footprint(empty_model(folder), settings.slot_tokens)
    chosen = choose(needs, free)
    if chosen is not None:
        return chosen, None
    logging.getLogger(__name__).warning(
        "%.1f GB free on %s hold no precision of %s: weights stay with the host, which is very slow",
        free / 1e9, device, folder,
    )  # fmt: skip
    return "bf16", free - needs.workspace_bytes - needs.slot_bytes


def empty_model(folder: Path) -> Any:
    """Return the checkpoint's model without memory for its weights."""
    with torch.device("meta"):
        return _models().from_config(_config(folder))


def _models() -> Any:
    import transformers

    transformers.utils.logging.disable_progress_bar()  # a log is no terminal
    return transformers.AutoModelForImageTextToText


def _config(folder: Path) -> Any:
    """Return the configuration; an output layer that has weights of its own is not tied, whatever it leaves unsaid."""
    import transformers

    config: Any = transformers.AutoConfig.from_pretrained(folder, local_files_only=True)
    if rows_and_width(shapes(folder), "lm_head.weight"):
        config.tie_word_embeddings = False
    return config


def _model(folder: Path, precision: Precision, device: torch.device) -> Any:
    config = _config(folder)
    kept = KEPT_WHOLE[config.model_type]
    options: dict[str, Any] = {
        "config": config,
        "dtype": torch.float32 if precision == "fp32" else torch.bfloat16,
        "device_map": {"": device},
        "attn_implementation": "sdpa",
        "local_files_only": True,
    }
    quantisation = bitsandbytes_config(precision, kept)
    if quantisation is not None:
        options["quantization_config"] = quantisation
    try:
        model, report = _models().from_pretrained(folder, output_loading_info=True, **options)
        _check_report(report)
    except torch.OutOfMemoryError as exc:
        raise BackendUnavailableError(
            f"{folder} as {precision} does not fit on {device}: choose int8 or nf4, or a larger device"
        ) from exc
    except ImportError as exc:
        raise BackendUnavailableError(f"{precision} weights need another package: {exc}") from exc
    except (OSError, ValueError, RuntimeError, KeyError) as exc:
        told = "they have other sizes than its config.json says" if _MISMATCH in str(exc) else one_line(exc)
        advice = fetch_again(folder, config.model_type)
        raise BackendError(f"the weights of {folder} cannot be loaded: {told}; {advice}") from exc
    keep_unpackable(model)
    return model.eval()


def _check_report(report: Mapping[str, Any]) -> None:
    """transformers fills weights that a file lacks with random numbers and says so in a log: here that is an error."""
    missing = sorted(report.get("missing_keys", ()))
    if missing:
        raise ValueError(f"{len(missing)} weights are missing in its files ({missing[0]} is one)")
