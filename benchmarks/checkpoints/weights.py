"""Tiny random weights under the names and in the files of the published ones. Knows no vocabulary or template."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"


def write_weights(folder: Path, architecture: Any, config: Mapping[str, Any], seed: int, shards: int = 1) -> None:
    """Write a model's weights in bfloat16, in one file or in `shards` and an index, under their old names."""
    # neither published model is tied, but one file does not say so and transformers' default is another
    untied = architecture.config_class.from_dict({**copy.deepcopy(config), "tie_word_embeddings": False})
    model = _random(architecture, untied, seed)
    model.save_pretrained(folder)  # renames to the names of before transformers 4.52, as published
    for written in ("config.json", "generation_config.json"):
        (folder / written).unlink(missing_ok=True)
    if shards > 1:
        _share(folder, shards)


def _random(architecture: Any, config: Any, seed: int) -> Any:
    """Return a model with weights large enough that a prompt's end and its pictures change the answer."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = architecture(config).eval()
        with torch.no_grad():
            for name, weight in model.named_parameters():
                if "norm" in name and weight.dim() == 1:
                    continue
                spread = 0.5 if weight.dim() == 1 else 1.0 if "embed_tokens" in name else 1.7 * weight.shape[-1] ** -0.5
                weight.copy_(torch.randn(weight.shape) * spread)
    return model.to(torch.bfloat16)


def _share(folder: Path, shards: int) -> None:
    weights = load_file(folder / SINGLE)
    names = list(weights)
    places = {
        name: f"model-{i * shards // len(names) + 1:05}-of-{shards:05}.safetensors" for i, name in enumerate(names)
    }
    for file in dict.fromkeys(places.values()):
        part = {name: weights[name] for name in names if places[name] == file}
        save_file(part, folder / file, metadata={"format": "pt"})
    total = sum(weight.nbytes for weight in weights.values())
    index = {"metadata": {"total_size": total}, "weight_map": places}
    (folder / INDEX).write_text(json.dumps(index, indent=2))
    (folder / SINGLE).unlink()
