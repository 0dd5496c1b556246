"""Tiny real checkpoints of both model families, made here: their own architecture, tokenizer and processor files.

Weights are random but fixed, so answers mean nothing and are always the same. Every tile is 56 pixels wide, patches are
14 pixels as in the large models.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="the extra 'vlm' is not installed")
pytest.importorskip("transformers", reason="the extra 'vlm' is not installed")

import tokenizers  # noqa: E402
import transformers  # noqa: E402

from router.schema import builtin, builtin_names  # noqa: E402

TILE_PX = 56
PATCH_PX = 14
VOCABULARY = 640
IMAGENET_MEAN, IMAGENET_STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
CLIP_MEAN, CLIP_STD = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]

INTERNVL_SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<img>", "</img>", "<IMG_CONTEXT>", "<video>"]
LLAMA_SPECIAL = [
    "<|begin_of_text|>",
    "<|end_of_text|>",
    "<|finetune_right_pad_id|>",
    "<|start_header_id|>",
    "<|end_header_id|>",
    "<|eom_id|>",
    "<|eot_id|>",
    "<|python_tag|>",
]
INTERNVL_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] %}{% if part['type'] == 'image' %}<IMG_CONTEXT>\n"
    "{% elif part['type'] == 'text' %}{{ part['text'] }}{% endif %}{% endfor %}{% endif %}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
LLAMA_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}<|start_header_id|>{{ message['role'] }}<|end_header_id|>\n\n"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] %}{% if part['type'] == 'image' %}<|image|>"
    "{% elif part['type'] == 'text' %}{{ part['text'] }}{% endif %}{% endfor %}{% endif %}<|eot_id|>"
    "{% endfor %}{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}"
)


def make_internvl(folder: Path, seed: int = 0) -> Path:
    """Write a tiny InternVL3 checkpoint into `folder` and return it."""
    tokenizer = _tokenizer(
        INTERNVL_SPECIAL,
        VOCABULARY,
        pad_token="<|endoftext|>",
        eos_token="<|im_end|>",
        extra_special_tokens={
            "start_image_token": "<img>",
            "end_image_token": "</img>",
            "context_image_token": "<IMG_CONTEXT>",
            "video_token": "<video>",
        },
    )
    ids = dict(zip(INTERNVL_SPECIAL, tokenizer.convert_tokens_to_ids(INTERNVL_SPECIAL), strict=True))
    config = transformers.InternVLConfig(
        text_config=_text("qwen2", eos_token_id=ids["<|im_end|>"], pad_token_id=ids["<|endoftext|>"]),
        vision_config={"num_hidden_layers": 2, **_vision(), "num_attention_heads": 2, "norm_type": "layer_norm"},
        image_token_id=ids["<IMG_CONTEXT>"],
        image_seq_length=(TILE_PX // PATCH_PX // 2) ** 2,
        tie_word_embeddings=False,
    )
    model = _random(transformers.InternVLForConditionalGeneration, config, seed)
    model.generation_config.eos_token_id = ids["<|im_end|>"]
    model.generation_config.pad_token_id = ids["<|endoftext|>"]
    images = transformers.GotOcr2ImageProcessor(
        size={"height": TILE_PX, "width": TILE_PX}, image_mean=IMAGENET_MEAN, image_std=IMAGENET_STD
    )
    processor = transformers.InternVLProcessor(
        image_processor=images,
        tokenizer=tokenizer,
        video_processor=transformers.InternVLVideoProcessor(size={"height": TILE_PX, "width": TILE_PX}),
        image_seq_length=config.image_seq_length,
        chat_template=INTERNVL_TEMPLATE,
    )
    return _save(folder, model, processor)


def make_llama_vision(folder: Path, seed: int = 0) -> Path:
    """Write a tiny Llama-3.2-Vision checkpoint into `folder` and return it."""
    # the image token stands beyond the text vocabulary, as in the large model
    tokenizer = _tokenizer(
        LLAMA_SPECIAL, VOCABULARY, "<|image|>", bos_token="<|begin_of_text|>", eos_token="<|eot_id|>",
        pad_token="<|finetune_right_pad_id|>",
    )  # fmt: skip
    ends = tokenizer.convert_tokens_to_ids(["<|end_of_text|>", "<|eom_id|>", "<|eot_id|>"])
    padding = tokenizer.pad_token_id
    text = _text("mllama_text_model", num_hidden_layers=5, cross_attention_layers=[1, 3], pad_token_id=padding)
    config = transformers.MllamaConfig(
        text_config=text | {"eos_token_id": ends, "bos_token_id": tokenizer.bos_token_id},
        vision_config={
            **_vision(),
            "image_size": TILE_PX,
            "patch_size": PATCH_PX,
            "attention_heads": 2,
            "num_hidden_layers": 3,
            "num_global_layers": 1,
            "intermediate_layers_indices": [0, 2],
            "vision_output_dim": 32 * 3,
        },
        image_token_index=tokenizer.convert_tokens_to_ids("<|image|>"),
    )
    model = _random(transformers.MllamaForConditionalGeneration, config, seed)
    model.generation_config.eos_token_id = ends
    model.generation_config.pad_token_id = padding
    images = transformers.MllamaImageProcessor(
        size={"height": TILE_PX, "width": TILE_PX}, image_mean=CLIP_MEAN, image_std=CLIP_STD, max_image_tiles=4
    )
    return _save(folder, model, transformers.MllamaProcessor(images, tokenizer, chat_template=LLAMA_TEMPLATE))


def _text(model_type: str, **more: Any) -> dict[str, Any]:
    return {
        "model_type": model_type,
        "vocab_size": VOCABULARY,
        "hidden_size": 64,
        "intermediate_size": 96,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 4096,
        "tie_word_embeddings": False,
        "bos_token_id": None,
        **more,
    }


def _vision() -> dict[str, Any]:
    sizes = {"image_size": (TILE_PX, TILE_PX), "patch_size": (PATCH_PX, PATCH_PX)}
    return {"hidden_size": 32, "intermediate_size": 48, **sizes}


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
    return model


def _tokenizer(special: list[str], size: int, beyond: str | None = None, **roles: Any) -> Any:
    """Return a byte-level BPE tokenizer of exactly `size` tokens, special ones behind words, `beyond` all of them."""
    bpe = tokenizers.Tokenizer(tokenizers.models.BPE())
    bpe.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = tokenizers.decoders.ByteLevel()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=size - len(special) - 8,
        initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator(_text_to_learn(), trainer)
    fill = [f"<|reserved_{i}|>" for i in range(size - bpe.get_vocab_size() - len(special))]
    bpe.add_special_tokens([*special, *fill, *([beyond] if beyond else [])])
    return transformers.PreTrainedTokenizerFast(tokenizer_object=bpe, padding_side="left", **roles)


def _text_to_learn() -> list[str]:
    names = sorted({name for schema in builtin_names() for name in builtin(schema).names()})
    words = ["NOT_FOUND", "Invoice", "Total", "Date", "Tax", "Subtotal", "Amount", "Pty Ltd", "Street", "Account"]
    numbers = [f"{i * 37 % 1000}.{i % 100:02d} {i % 28 + 1:02d}/{i % 12 + 1:02d}/20{i % 30:02d}" for i in range(200)]
    return [f"{name}: {word} {number}\n" for name in names for word in words for number in numbers[:3]] + numbers


def _save(folder: Path, model: Any, processor: Any) -> Path:
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder
