"""The original InternVL checkpoints, whose model code comes with the weights. Opt-in: that code runs as this process.

Only the vision tower's call differs; prompts, tiles and the way to decode are those of the native family. The chat
template is the native checkpoints', without the system message that the original `chat` adds.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from backends.vlm.checkpoint import Identity
from backends.vlm.internvl import InternVL
from backends.vlm.quantize import Precision
from router.errors import BackendError

if TYPE_CHECKING:
    from backends.vlm.loading import Loaded, LoadSettings

IMAGE_TOKENS = {
    "start_image_token": "<img>",
    "end_image_token": "</img>",
    "context_image_token": "<IMG_CONTEXT>",
    "video_token": "<video>",
}
CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% for part in message['content'] %}{% if part['type'] == 'image' %}<IMG_CONTEXT>\n"
    "{% else %}{{ part['text'] }}{% endif %}{% endfor %}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
IMAGENET_MEAN, IMAGENET_STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]


@dataclass(frozen=True, eq=False)
class OriginalInternVL(InternVL):
    """An InternVL that runs the code of its checkpoint."""

    @staticmethod
    def _decoder(model: Any) -> tuple[Any, Any]:
        return model.language_model.model, model.language_model

    def image_features(self, pixels: Tensor) -> Tensor:
        """Return embeddings (tiles, tile_tokens, width) of tiles (tiles, 3, side, side)."""
        features: Tensor = self.model.extract_feature(pixels)
        return features


def load_original(folder: Path, settings: LoadSettings, device: torch.device, identity: Identity) -> Loaded:
    """Return an original InternVL checkpoint, loaded by its own code; raise `BackendError` where that fails."""
    from backends.vlm.loading import Loaded

    whole: dict[str, Precision] = {"cuda": "bf16", "cpu": "fp32"}
    precision = whole.get(device.type, "fp32") if settings.precision == "auto" else settings.precision
    if precision not in ("fp32", "bf16"):
        raise BackendError(f"the original InternVL checkpoint cannot be held as {precision}: use the -hf checkpoint")
    logging.getLogger(__name__).warning(
        "running the code that comes with %s: it can do all that this process can; the checkpoint whose name ends in "
        "-hf needs none", folder,
    )  # fmt: skip
    dtype = torch.float32 if precision == "fp32" else torch.bfloat16
    try:
        model = _model(folder, dtype).to(device).eval()
        processor = _processor(folder, model)
        return Loaded(OriginalInternVL.of(model, processor, settings.limits), identity, precision)
    except Exception as exc:  # the checkpoint's code may raise anything
        raise BackendError(
            f"the code of {folder} does not run with the installed transformers ({type(exc).__name__}: {exc}): use the "
            "checkpoint whose name ends in -hf"
        ) from exc


def _model(folder: Path, dtype: torch.dtype) -> Any:
    import transformers

    models: Any = transformers.AutoModel
    return models.from_pretrained(folder, trust_remote_code=True, dtype=dtype, local_files_only=True)


def _processor(folder: Path, model: Any) -> Any:
    import transformers

    tokenizers: Any = transformers.AutoTokenizer
    # without leave it would ask on the terminal for the code of the configuration
    allowed = {"trust_remote_code": True, "local_files_only": True}
    tokenizer = tokenizers.from_pretrained(folder, extra_special_tokens=IMAGE_TOKENS, **allowed)
    side = int(getattr(model.config, "force_image_size", None) or model.config.vision_config.image_size)
    size = {"height": side, "width": side}
    images: Any = transformers.GotOcr2ImageProcessor
    videos: Any = transformers.InternVLVideoProcessor
    processors: Any = transformers.InternVLProcessor
    return processors(
        image_processor=images(size=size, image_mean=IMAGENET_MEAN, image_std=IMAGENET_STD),
        tokenizer=tokenizer,
        video_processor=videos(size=size),
        image_seq_length=int(model.num_image_token),
        chat_template=CHAT_TEMPLATE,
    )
