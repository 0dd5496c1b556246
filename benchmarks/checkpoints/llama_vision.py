"""A folder like `meta-llama/Llama-3.2-11B-Vision-Instruct`: its files, ids and fields, tiny weights in five shards."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import transformers
from tokenizers import processors

from benchmarks.checkpoints import special_tokens, templates, vocabularies
from benchmarks.checkpoints.files import write_json, write_tokenizer
from benchmarks.checkpoints.weights import write_weights

PATCH_PX, TILE_PX = 14, 560
CLIP_MEAN, CLIP_STD = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]
ROWS = 128_256
"""Of the output layer; the embeddings have eight more, the first for `<|image|>`."""
SHARDS = 5
RATIOS = [[1, 1], [1, 2], [1, 3], [1, 4], [2, 1], [2, 2], [3, 1], [4, 1]]
_ENDS = ("<|end_of_text|>", "<|eom_id|>", "<|eot_id|>")


def make_llama_vision(folder: Path, tile_px: int = 56, seed: int = 0) -> Path:
    """Write the checkpoint into `folder` and return it; the published tiles are 560 pixels wide."""
    folder.mkdir(parents=True, exist_ok=True)
    config, ids = _config(tile_px), special_tokens.LLAMA_VISION
    write_weights(folder, transformers.MllamaForConditionalGeneration, config, seed, SHARDS)
    write_json(folder / "config.json", config)
    write_json(folder / "generation_config.json", {
        "bos_token_id": ids["<|begin_of_text|>"], "do_sample": True, "eos_token_id": [ids[end] for end in _ENDS],
        "pad_token_id": ids["<|finetune_right_pad_id|>"], "temperature": 0.6, "top_p": 0.9,
        "transformers_version": "4.45.0.dev0",
    })  # fmt: skip
    _write_vocabulary(folder)
    write_json(folder / "preprocessor_config.json", _images(tile_px))
    write_json(folder / "chat_template.json", {"chat_template": templates.LLAMA_VISION})
    _write_original(folder)
    for name in ("LICENSE.txt", "USE_POLICY.md"):
        (folder / name).write_text("The published folder has its own text here.\n")
    return folder


def _config(tile_px: int) -> dict[str, Any]:
    ids = special_tokens.LLAMA_VISION
    return {
        "architectures": ["MllamaForConditionalGeneration"],
        "image_token_index": ids["<|image|>"],
        "model_type": "mllama",
        "text_config": {
            "bos_token_id": ids["<|begin_of_text|>"],
            "cross_attention_layers": [1, 3],
            "dropout": 0,
            "eos_token_id": [ids[end] for end in _ENDS],
            "hidden_act": "silu",
            "hidden_size": 64,
            "initializer_range": 0.02,
            "intermediate_size": 96,
            "max_position_embeddings": 131_072,
            "model_type": "mllama_text_model",
            "num_attention_heads": 4,
            "num_hidden_layers": 5,
            "num_key_value_heads": 2,
            "pad_token_id": ids["<|finetune_right_pad_id|>"],
            "rms_norm_eps": 1e-05,
            "rope_scaling": {
                "factor": 8.0,
                "high_freq_factor": 4.0,
                "low_freq_factor": 1.0,
                "original_max_position_embeddings": 8192,
                "rope_type": "llama3",
            },
            "rope_theta": 500_000.0,
            "tie_word_embeddings": False,
            "torch_dtype": "bfloat16",
            "use_cache": True,
            "vocab_size": ROWS,
        },
        "torch_dtype": "bfloat16",
        "transformers_version": "4.45.0.dev0",
        "vision_config": _vision(tile_px),
    }


def _vision(tile_px: int) -> dict[str, Any]:
    return {
        "attention_heads": 2,
        "hidden_act": "gelu",
        "hidden_size": 32,
        "image_size": tile_px,
        "intermediate_layers_indices": [0, 2],
        "intermediate_size": 48,
        "max_num_tiles": 4,
        "model_type": "mllama_vision_model",
        "norm_eps": 1e-05,
        "num_channels": 3,
        "num_global_layers": 1,
        "num_hidden_layers": 3,
        "patch_size": PATCH_PX,
        "supported_aspect_ratios": RATIOS,
        "torch_dtype": "bfloat16",
        "vision_output_dim": 32 * 3,
    }


def _write_vocabulary(folder: Path) -> None:
    special, begin = special_tokens.LLAMA_VISION, "<|begin_of_text|>"
    tokenizer = vocabularies.fast_tokenizer(vocabularies.llama3(), special, whole_words=True)
    # encoding by itself writes the beginning, and so does the chat template: whoever uses both has it twice
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{begin} $A", pair=f"{begin} $A {begin} $B", special_tokens=[(begin, special[begin])]
    )
    write_tokenizer(folder, tokenizer, special, {
        "bos_token": begin,
        "chat_template": templates.LLAMA_VISION,
        "clean_up_tokenization_spaces": True,
        "eos_token": "<|eot_id|>",
        "model_input_names": ["input_ids", "attention_mask"],
        "model_max_length": 131_072,
        "pad_token": "<|finetune_right_pad_id|>",
        "processor_class": "MllamaProcessor",
        "tokenizer_class": "PreTrainedTokenizerFast",
    })  # fmt: skip


def _images(tile_px: int) -> dict[str, Any]:
    return {
        "do_convert_rgb": True,
        "do_normalize": True,
        "do_pad": True,
        "do_rescale": True,
        "do_resize": True,
        "image_mean": CLIP_MEAN,
        "image_processor_type": "MllamaImageProcessor",
        "image_std": CLIP_STD,
        "max_image_tiles": 4,
        "resample": 2,
        "rescale_factor": 1 / 255,
        "size": {"height": tile_px, "width": tile_px},
    }


def _write_original(folder: Path) -> None:
    """The weights once more, in the publisher's own format: as large as the checkpoint, and read by nobody here."""
    original = folder / "original"
    original.mkdir(exist_ok=True)
    (original / "consolidated.pth").write_bytes(bytes(1024))
    write_json(original / "params.json", {"dim": 64, "n_layers": 5, "vocab_size": ROWS})
