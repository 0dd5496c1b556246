"""Copies of a checkpoint folder with one thing wrong, as users have them. Knows files; must not know what refuses them.

Files that stay as they are are linked, not copied: to change a copy's file it is replaced, never written in place.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

from benchmarks.checkpoints import special_tokens, templates
from benchmarks.checkpoints.files import write_json

_TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")
_QWEN2_FILES = ("vocab.json", "merges.txt", "added_tokens.json")


def copy_of(folder: Path, to: Path) -> Path:
    """Return a copy whose files are links to those of `folder`."""
    shutil.copytree(folder, to, copy_function=os.link)
    return to


def replace(path: Path, content: bytes | str) -> None:
    """Give a copy a file of its own."""
    path.unlink(missing_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)


def change(path: Path, **values: Any) -> None:
    """Set fields of a copy's JSON file; None removes a field."""
    content = json.loads(path.read_bytes()) | values
    write_json(path, {name: value for name, value in content.items() if value is not None})


def cut_off(path: Path, kept: float) -> None:
    """Leave the first part of a copy's file."""
    content = path.read_bytes()
    replace(path, content[: int(len(content) * kept)])


def weights_of(folder: Path) -> list[Path]:
    """Return the files of weights, in order."""
    return sorted(folder.glob("*.safetensors"))


def set_template(folder: Path, template: str | None) -> None:
    """Write another chat template where the folder has its own, or remove it."""
    (folder / "chat_template.jinja").unlink(missing_ok=True)
    (folder / "chat_template.json").unlink(missing_ok=True)
    change(folder / "tokenizer_config.json", chat_template=None)
    if template is not None:
        replace(folder / "chat_template.jinja", template)


def early_snapshot(folder: Path, to: Path) -> Path:
    """Return an InternVL3 of before revision cb57a075: without `<video>`, and its template writes `<image>`."""
    copy = copy_of(folder, to)
    _drop_tokens(copy, [special_tokens.VIDEO])
    path = copy / "tokenizer_config.json"
    known = json.loads(path.read_bytes())["extra_special_tokens"]
    change(path, video_token=None, extra_special_tokens={n: t for n, t in known.items() if n != "video_token"})
    set_template(copy, templates.INTERNVL3_EARLY)
    return copy


def with_tokenizer_of(folder: Path, other: Path, to: Path) -> Path:
    """Return a copy with the vocabulary of another checkpoint."""
    copy = copy_of(folder, to)
    for name in (*_TOKENIZER_FILES, *_QWEN2_FILES):
        (copy / name).unlink(missing_ok=True)
        if (other / name).is_file():
            os.link(other / name, copy / name)
    return copy


def with_vocabulary_of(folder: Path, other: Path, to: Path) -> Path:
    """Return a copy with another checkpoint's `tokenizer.json` under its own settings."""
    copy = copy_of(folder, to)
    for name in ("tokenizer.json", *_QWEN2_FILES):
        (copy / name).unlink(missing_ok=True)
    os.link(other / "tokenizer.json", copy / "tokenizer.json")
    path = copy / "tokenizer_config.json"
    change(
        path, added_tokens_decoder=json.loads((other / "tokenizer_config.json").read_bytes())["added_tokens_decoder"]
    )
    return copy


def without_picture_token(folder: Path, to: Path) -> Path:
    """Return a Llama 3.2 Vision whose tokenizer ends at the text vocabulary: 128,256 entries, no `<|image|>`."""
    copy = copy_of(folder, to)
    _drop_tokens(copy, ["<|image|>"])
    return copy


def text_part_elsewhere(folder: Path, to: Path, name: str | None = "llm_config") -> Path:
    """Return a copy whose configuration has its text part under another name, or among its own fields."""
    copy = copy_of(folder, to)
    path = copy / "config.json"
    text = json.loads(path.read_bytes())["text_config"]
    own = {"model_type"}
    change(path, text_config=None, **({name: text} if name else {k: v for k, v in text.items() if k not in own}))
    return copy


def _drop_tokens(copy: Path, tokens: list[str]) -> None:
    """Remove the last special tokens of a copy's tokenizer."""
    path = copy / "tokenizer.json"
    content = json.loads(path.read_bytes())
    content["added_tokens"] = [token for token in content["added_tokens"] if token["content"] not in tokens]
    replace(path, json.dumps(content, ensure_ascii=False))
    config = json.loads((copy / "tokenizer_config.json").read_bytes())
    left = {n: token for n, token in config["added_tokens_decoder"].items() if token["content"] not in tokens}
    change(copy / "tokenizer_config.json", added_tokens_decoder=left)
    added = copy / "added_tokens.json"
    if added.is_file():
        change(added, **dict.fromkeys(tokens))
