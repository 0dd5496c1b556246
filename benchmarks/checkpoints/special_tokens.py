"""The special tokens of both chat formats by id. Knows names and ids only."""

from __future__ import annotations

_BOXES = ("object_ref_start", "object_ref_end", "box_start", "box_end", "quad_start", "quad_end")
_VISION = ("vision_start", "vision_end", "vision_pad", "image_pad", "video_pad")
_CODE = ("fim_prefix", "fim_middle", "fim_suffix", "fim_pad", "repo_name", "file_sep")
_PICTURES = ["<img>", "</img>", "<IMG_CONTEXT>", "<quad>", "</quad>", "<ref>", "</ref>", "<box>", "</box>"]
_LLAMA3 = (
    *("begin_of_text", "end_of_text", "reserved_special_token_0", "reserved_special_token_1", "finetune_right_pad_id"),
    *("step_id", "start_header_id", "end_header_id", "eom_id", "eot_id", "python_tag"),
)
_QWEN2_TOKENS, _LLAMA3_TOKENS = 151_643, 128_000
_LLAMA3_RESERVED = 256

VIDEO = "<video>"
"""In InternVL3's tokenizer since revision cb57a075, behind the last row of the embeddings."""


def _piped(*names: str) -> list[str]:
    return [f"<|{name}|>" for name in names]


_INTERNVL3 = [
    *_piped("endoftext", "im_start", "im_end", *_BOXES, *_VISION),
    *("<tool_call>", "</tool_call>"),
    *_piped(*_CODE),
    *_PICTURES,
    VIDEO,
]
INTERNVL3 = {token: _QWEN2_TOKENS + place for place, token in enumerate(_INTERNVL3)}
"""151643 `<|endoftext|>` to 151674 `<video>`."""

_RESERVED = [f"reserved_special_token_{number}" for number in range(2, 2 + _LLAMA3_RESERVED - len(_LLAMA3))]
LLAMA_VISION = {token: _LLAMA3_TOKENS + place for place, token in enumerate(_piped(*_LLAMA3, *_RESERVED, "image"))}
"""128000 `<|begin_of_text|>` to 128256 `<|image|>`, which stands behind the rows of the output layer."""
