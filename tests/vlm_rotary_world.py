"""Tiny families with the rotary settings of the published checkpoints, and others."""

from __future__ import annotations

import transformers

from backends.vlm.internvl import InternVL
from backends.vlm.llama_vision import LlamaVision

REAL_LENGTH = 32_768
KNOWN = {
    "default": {"rope_type": "default", "rope_theta": 1e6},
    "dynamic": {"rope_type": "dynamic", "rope_theta": 1e6, "factor": 2.0},
    "llama3": {
        "rope_type": "llama3",
        "rope_theta": 5e5,
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192,
    },
}
OTHERS = {"yarn": {"rope_type": "yarn", "rope_theta": 1e6, "factor": 4.0, "original_max_position_embeddings": 8192}}


def family_of(folder, rope, known=REAL_LENGTH, device="cpu"):
    """Return the family of a tiny checkpoint with other rotary settings, in float32."""
    config = transformers.AutoConfig.from_pretrained(folder)
    config.text_config.rope_parameters = dict((KNOWN | OTHERS)[rope])
    config.text_config.max_position_embeddings = known
    models = transformers.AutoModelForImageTextToText
    model = models.from_pretrained(folder, config=config, dtype="float32").eval().to(device)
    kind = InternVL if config.model_type == "internvl" else LlamaVision
    return kind.of(model, transformers.AutoProcessor.from_pretrained(folder))
