"""Files of a checkpoint that both families have: the tokenizer's. Knows formats, no model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tokenizers


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write indented JSON; what was linked to the same file elsewhere stays as it is."""
    path.unlink(missing_ok=True)
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def write_tokenizer(
    folder: Path, tokenizer: tokenizers.Tokenizer, special: Mapping[str, int], options: Mapping[str, Any]
) -> None:
    """Write `tokenizer.json`, `tokenizer_config.json` and `special_tokens_map.json`."""
    tokenizer.save(str(folder / "tokenizer.json"))
    decoder = {
        str(number): {"content": token, **dict.fromkeys(("lstrip", "normalized", "rstrip", "single_word"), False)}
        | {"special": True}
        for token, number in special.items()
    }
    write_json(folder / "tokenizer_config.json", {"added_tokens_decoder": decoder, **options})
    roles = {role: options[role] for role in ("bos_token", "eos_token", "pad_token") if options.get(role)}
    write_json(folder / "special_tokens_map.json", roles)
