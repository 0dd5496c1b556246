"""A checkpoint's processor, and whether it fits its model: pictures, vocabulary, chat template, stop tokens.

Loads no weights, so that making a lane can ask. What a tokenizer has beyond the rows of a model is no fault by itself:
rows are compared with the ids that a prompt can hold and an answer can end with.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from backends.vlm.family import END_OF_TURN
from backends.vlm.hub import fetch_again, fetch_newest
from backends.vlm.json_files import one_line, read_part
from backends.vlm.prompting import ChatPrompt
from backends.vlm.weight_files import rows_and_width, shapes
from router.errors import BackendError

CLASSES = {"internvl": "InternVLProcessor", "mllama": "MllamaProcessor"}
"""Processors by the `model_type` of the configuration that they belong to."""

_PROBE = "docroute"
_LACKS_TOKEN = re.compile(r"has no attribute (\w+_token)\b")


def ready_processor(folder: Path, config: Mapping[str, Any]) -> Any:
    """Return the processor of a checkpoint that fits its model; `config` is what `check` returned.

    Raises `BackendError` on one line with what is wrong and what helps: such a processor would put wrong numbers into
    the prompt, or none.
    """
    model_type = str(config["model_type"])
    processor = _load(folder, model_type)
    for look in (_wrong_class, _wrong_pictures, _wrong_ids, _wrong_template, _wrong_stops):
        try:
            wrong = ", ".join(look(folder, processor, config))
        except (KeyError, TypeError, ValueError, AttributeError, OSError) as exc:  # a field that is not what it must be
            wrong = f"{type(exc).__name__}: {one_line(exc)}"
        if wrong:
            told = f"the processor of {folder} does not match its model: {wrong}; {fetch_again(folder, model_type)}"
            raise BackendError(told)
    return processor


def ready_positions(folder: Path, slot_tokens: int) -> None:
    """Raise `BackendError` where slots cannot have the positions of this checkpoint, as the engine would."""
    import transformers

    from backends.vlm.rotary import FIXED_TYPES, check_positions

    config: Any = transformers.AutoConfig.from_pretrained(folder, local_files_only=True)
    text = config.text_config
    kind = (getattr(text, "rope_parameters", None) or {}).get("rope_type", "default")
    try:
        check_positions(kind, text.max_position_embeddings, slot_tokens)
    except BackendError as exc:
        advice = "" if kind in FIXED_TYPES else f"; {fetch_again(folder, config.model_type)}"
        raise BackendError(f"{folder} cannot be read with: {exc}{advice}") from exc


def _load(folder: Path, model_type: str) -> Any:
    import transformers

    processors: Any = transformers.AutoProcessor
    try:
        # published Llamas ask for a clean-up of spaces that would spoil values, and transformers warns of it
        return processors.from_pretrained(folder, local_files_only=True, clean_up_tokenization_spaces=False)
    except ImportError:
        raise  # no fault of the folder
    except Exception as exc:  # a damaged tokenizer.json raises just that
        lacking = _LACKS_TOKEN.search(str(exc))
        if lacking and lacking[1] == "video_token" and model_type == "internvl":
            raise _too_early(folder) from exc
        made_for = read_part(folder / "tokenizer_config.json", model_type).get("processor_class", CLASSES[model_type])
        told = one_line(exc)
        if lacking or made_for != CLASSES[model_type]:
            told = "its tokenizer is another model's" + (f", without {lacking[1]}" if lacking else f", of a {made_for}")
        raise BackendError(
            f"the processor of {folder} cannot be loaded ({told}); {fetch_again(folder, model_type)}"
        ) from exc


def _too_early(folder: Path) -> BackendError:
    return BackendError(
        f"{folder} is a snapshot of before revision cb57a075: it lacks <video>, or writes <image> for a picture; use "
        f"revision cb57a075 or later: `{fetch_newest(folder, 'internvl')}` fetches the newest one, and the option "
        "revision, where it is set, must name that"
    )


def _wrong_class(folder: Path, processor: Any, config: Mapping[str, Any]) -> Iterator[str]:
    wanted, found = CLASSES[str(config["model_type"])], type(processor).__name__
    if found != wanted:
        yield f"it is a {found}, not {wanted}"


def _wrong_pictures(folder: Path, processor: Any, config: Mapping[str, Any]) -> Iterator[str]:
    import transformers

    full: Any = transformers.AutoConfig.from_pretrained(folder, local_files_only=True)
    images, vision = processor.image_processor, full.vision_config
    side = vision.image_size if isinstance(vision.image_size, int) else vision.image_size[0]
    if processor.image_token_id != full.image_token_id:
        yield f"image token {processor.image_token_id} instead of {full.image_token_id} (another model's vocabulary)"
    facts = {"size of a tile": (images.size["height"], side)}
    if full.model_type == "mllama":
        facts["most tiles"] = (int(images.max_image_tiles), int(vision.max_num_tiles))
    else:
        patch = vision.patch_size if isinstance(vision.patch_size, int) else vision.patch_size[0]
        facts["tokens of a tile"] = (
            int(processor.image_seq_length),
            int((side // patch * full.downsample_ratio) ** 2),
        )
    yield from (f"{name} {has} instead of {wants}" for name, (has, wants) in facts.items() if has != wants)


def _wrong_ids(folder: Path, processor: Any, config: Mapping[str, Any]) -> Iterator[str]:
    """Compare the rows of the embeddings with all ids of text, of pictures and of padding."""
    tokenizer, embeddings = processor.tokenizer, rows_and_width(shapes(folder), "embed_tokens.weight")
    if embeddings is None:
        yield "there are no embeddings"
        return
    added = set(tokenizer.get_added_vocab().values())
    text = max((number for number in tokenizer.get_vocab().values() if number not in added), default=0)
    pictures = [getattr(processor, f"{name}_token_id", None) for name in ("image", "start_image", "end_image")]
    fed = max(number for number in [text, tokenizer.pad_token_id, *pictures] if number is not None)
    if fed >= embeddings[0]:
        yield f"token {fed} ({tokenizer.convert_ids_to_tokens(fed)}) for {embeddings[0]} embeddings"


def _wrong_template(folder: Path, processor: Any, config: Mapping[str, Any]) -> Iterator[str]:
    if not processor.chat_template:
        yield "no chat template"
        return
    try:
        ids = ChatPrompt(processor).token_ids(_PROBE, 1)
    except Exception as exc:  # a template may raise anything
        yield f"its chat template cannot be filled in ({one_line(exc)})"
        return
    tokenizer = processor.tokenizer
    begin, places = tokenizer.bos_token_id, ids.tolist().count(processor.image_token_id)
    if places == 0 and config["model_type"] == "internvl" and "<image>" in str(processor.chat_template):
        raise _too_early(folder)
    if places != 1:
        yield f"its chat template writes {places} places for one picture"
    if begin is not None and ids.tolist().count(begin) != 1:
        yield f"its chat template writes {tokenizer.bos_token} {ids.tolist().count(begin)} times"
    if _PROBE not in tokenizer.decode(ids.tolist()):
        yield "its chat template leaves out the question"


def _wrong_stops(folder: Path, processor: Any, config: Mapping[str, Any]) -> Iterator[str]:
    """Other stop tokens than the ends of a turn would cut answers off in their middle."""
    tokenizer, written = processor.tokenizer, folder / "generation_config.json"
    own = read_part(written, str(config["model_type"])) if written.is_file() else config["text_config"]
    stops = own.get("eos_token_id")
    for stop in stops if isinstance(stops, list) else [] if stops is None else [stops]:
        token = tokenizer.convert_ids_to_tokens(stop) if isinstance(stop, int) and 0 <= stop < len(tokenizer) else None
        if token not in (*END_OF_TURN, tokenizer.eos_token):
            named = "no token" if token is None else repr(token)
            end = f"{tokenizer.eos_token} is {tokenizer.eos_token_id}"
            yield f"generation_config.json ends answers at {stop} ({named}), which ends no turn of this chat ({end})"
