"""A folder like `OpenGVLab/InternVL3-2B-hf` (from revision cb57a075 on): its files, ids and fields, tiny weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import transformers

from benchmarks.checkpoints import special_tokens, templates, vocabularies
from benchmarks.checkpoints.files import write_json, write_tokenizer
from benchmarks.checkpoints.weights import write_weights

PATCH_PX, TILE_PX = 14, 448
IMAGENET_MEAN, IMAGENET_STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
ROWS = 151_674
"""Of the embeddings and the output layer; the tokenizer's last entry, `<video>`, has none."""
IMAGE_TOKENS = {
    "context_image_token": "<IMG_CONTEXT>",
    "end_image_token": "</img>",
    "start_image_token": "<img>",
    "video_token": "<video>",
}


def make_internvl(folder: Path, tile_px: int = 56, seed: int = 0) -> Path:
    """Write the checkpoint into `folder` and return it; the published tiles are 448 pixels wide."""
    folder.mkdir(parents=True, exist_ok=True)
    config = _config(tile_px)
    write_weights(folder, transformers.InternVLForConditionalGeneration, config, seed)
    write_json(folder / "config.json", config)
    text = config["text_config"]
    write_json(folder / "generation_config.json", {
        "_from_model_config": True, "bos_token_id": text["bos_token_id"], "eos_token_id": text["eos_token_id"],
        "transformers_version": "4.52.0.dev0",
    })  # fmt: skip
    _write_vocabulary(folder)
    write_json(folder / "preprocessor_config.json", _images(tile_px))
    write_json(
        folder / "processor_config.json",
        {"image_seq_length": config["image_seq_length"], "processor_class": "InternVLProcessor"},
    )
    (folder / "chat_template.jinja").write_text(templates.INTERNVL3)
    return folder


def _config(tile_px: int) -> dict[str, Any]:
    ids = special_tokens.INTERNVL3
    return {
        "architectures": ["InternVLForConditionalGeneration"],
        "downsample_ratio": 0.5,
        "image_seq_length": (tile_px // PATCH_PX // 2) ** 2,
        "image_token_id": ids["<IMG_CONTEXT>"],
        "model_type": "internvl",
        "projector_hidden_act": "gelu",
        "text_config": {
            "architectures": ["Qwen2ForCausalLM"],
            "attention_dropout": 0.0,
            "bos_token_id": ids["<|endoftext|>"],
            "eos_token_id": ids["<|im_end|>"],
            "hidden_act": "silu",
            "hidden_size": 64,
            "initializer_range": 0.02,
            "intermediate_size": 96,
            "max_position_embeddings": 32_768,
            "max_window_layers": 70,
            "model_type": "qwen2",
            "num_attention_heads": 4,
            "num_hidden_layers": 2,
            "num_key_value_heads": 2,
            "rms_norm_eps": 1e-06,
            "rope_scaling": {"factor": 2.0, "rope_type": "dynamic", "type": "dynamic"},
            "rope_theta": 1_000_000.0,
            "sliding_window": None,
            "torch_dtype": "bfloat16",
            "use_cache": True,
            "use_sliding_window": False,
            "vocab_size": ROWS,
        },
        "torch_dtype": "bfloat16",
        "transformers_version": "4.52.0.dev0",
        "vision_config": _vision(tile_px),
        "vision_feature_layer": -1,
        "vision_feature_select_strategy": "default",
    }


def _vision(tile_px: int) -> dict[str, Any]:
    return {
        "attention_bias": True,
        "hidden_size": 32,
        "image_size": [tile_px, tile_px],
        "intermediate_size": 48,
        "layer_scale_init_value": 0.1,
        "model_type": "internvl_vision",
        "norm_type": "layer_norm",
        "num_attention_heads": 2,
        "num_channels": 3,
        "num_hidden_layers": 2,
        "patch_size": [PATCH_PX, PATCH_PX],
        "use_absolute_position_embeddings": True,
        "use_mask_token": False,
        "use_mean_pooling": True,
        "use_qk_norm": False,
    }


def _write_vocabulary(folder: Path) -> None:
    vocabulary, special = vocabularies.qwen2(), special_tokens.INTERNVL3
    tokenizer = vocabularies.composed(vocabularies.fast_tokenizer(vocabulary, special))
    write_tokenizer(folder, tokenizer, special, {
        "add_bos_token": False,
        "add_prefix_space": False,
        "additional_special_tokens": [token for token in special if token.startswith("<|")],
        "bos_token": None,
        "clean_up_tokenization_spaces": False,
        **IMAGE_TOKENS,
        "eos_token": "<|im_end|>",
        "errors": "replace",
        "extra_special_tokens": IMAGE_TOKENS,
        "model_max_length": 8192,
        "pad_token": "<|endoftext|>",
        "processor_class": "InternVLProcessor",
        "split_special_tokens": False,
        "tokenizer_class": "Qwen2Tokenizer",
        "unk_token": None,
    })  # fmt: skip
    write_json(folder / "vocab.json", vocabulary.ids)
    write_json(folder / "added_tokens.json", special)
    lines = ["#version: 0.2", *(f"{left} {right}" for left, right in vocabulary.merges), ""]
    (folder / "merges.txt").write_text("\n".join(lines), encoding="utf-8")


def _images(tile_px: int) -> dict[str, Any]:
    """The file turns cutting into tiles off; the processor of pages and text turns it on."""
    return {
        "crop_to_patches": False,
        "data_format": "channels_first",
        "default_to_square": True,
        "do_convert_rgb": True,
        "do_normalize": True,
        "do_rescale": True,
        "do_resize": True,
        "image_mean": IMAGENET_MEAN,
        "image_processor_type": "GotOcr2ImageProcessorFast",
        "image_std": IMAGENET_STD,
        "max_patches": 12,
        "min_patches": 1,
        "processor_class": "InternVLProcessor",
        "resample": 3,
        "rescale_factor": 1 / 255,
        "size": {"height": tile_px, "width": tile_px},
    }
