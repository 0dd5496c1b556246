"""Families for tests of the engine: tiny models with pixels made up here, prefilled by transformers' own forward."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

import torch
import transformers
from torch.nn.utils.rnn import pad_sequence

from backends.vlm.family import cache_name, eos_ids, last_logits
from backends.vlm.requests import Batch, Prepared

PATCHES = 17  # of a tile of the tiny Llama: 4 x 4 and the class token
GRID_OF_TILES = {1: 1, 2: 2, 3: 3, 4: 4}  # aspect ratio numbers of grids with one row


@dataclass
class TinyFamily:
    """Either family. Prefills wait for `gate`; each of `failures` is raised by one of the next, None by none."""

    name: str
    model: Any
    tokenizer: Any
    cross_tokens: int

    def __post_init__(self):
        self.text_model, self.lm_head = self.model.model.language_model, self.model.lm_head
        self.eos_ids = eos_ids(self.model, self.tokenizer)
        self.device, self.dtype = torch.device("cpu"), torch.float32
        self.gate = threading.Event()
        self.heal()

    def heal(self):
        """Forget failures, groups and which request is faulty."""
        self.failures, self.groups, self.faulty = [], [], None
        self.gate.set()

    def request(self, seed, tiles=None):
        """Return a request of some words and tiles of noise, always the same for a seed."""
        g = torch.Generator().manual_seed(seed)
        tiles = tiles or int(torch.randint(1, 5, (1,), generator=g))
        words = torch.randint(20, 500, (int(torch.randint(3, 60, (1,), generator=g)),), generator=g)
        pixels = torch.randn(tiles, 3, 56, 56, generator=g)
        if self.cross_tokens:
            image = torch.tensor([self.model.config.image_token_id])
        else:
            image = torch.full((4 * tiles,), self.model.config.image_token_id)
        ids = torch.cat((words[:2], image, words[2:]))
        return Prepared(ids, (pixels,), ((tiles, 1),), tiles, len(ids))

    def collate(self, items):
        self.gate.wait()
        failure = self.failures.pop(0) if self.failures else None
        if failure is not None:
            raise failure
        if any(item is self.faulty for item in items):
            raise ValueError("bad pixels")
        self.groups.append(len(items))
        lengths = torch.tensor([item.prompt_tokens for item in items])
        ids = pad_sequence([item.input_ids for item in items], batch_first=True)
        if not self.cross_tokens:
            return Batch({"input_ids": ids, "pixel_values": torch.cat([item.pages[0] for item in items])}, lengths)
        pixels = torch.zeros(len(items), 1, 4, 3, 56, 56)
        tiles = torch.zeros(len(items), 1, 4, dtype=torch.long)
        for row, item in enumerate(items):
            pixels[row, 0, : item.tiles], tiles[row, 0, : item.tiles] = item.pages[0], 1
        after = (torch.arange(ids.shape[1]) >= 2)[None, :, None, None]
        inputs = {
            "input_ids": ids,
            "pixel_values": pixels,
            "aspect_ratio_mask": tiles,
            "aspect_ratio_ids": torch.tensor([[GRID_OF_TILES[item.tiles]] for item in items]),
            "cross_attention_mask": after * tiles[:, None],
        }
        return Batch(inputs, lengths, tiles.sum((1, 2)) * PATCHES)

    def prefill(self, batch, cache):
        core = self.model.model
        hidden = core(**batch.inputs, **{cache_name(core): cache}, use_cache=True).last_hidden_state
        return last_logits(hidden, batch.lengths, self.lm_head)

    def generate(self, prepared, max_tokens):
        """Return the tokens that transformers' own `generate` gives."""
        inputs = dict(self.collate([prepared]).inputs)
        n = prepared.prompt_tokens
        attention = torch.ones(1, n, dtype=torch.long)
        with torch.inference_mode():
            out = self.model.generate(
                **inputs,
                attention_mask=attention,
                max_new_tokens=max_tokens,
                do_sample=False,
                eos_token_id=list(self.eos_ids),
            )
        return out[0, n:].tolist()


def tiny_family(folder):
    """Return the family of a tiny checkpoint."""
    config = transformers.AutoConfig.from_pretrained(folder)
    kinds = {"internvl": transformers.InternVLForConditionalGeneration}
    kind = kinds.get(config.model_type, transformers.MllamaForConditionalGeneration)
    model = kind.from_pretrained(folder, dtype=torch.float32).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    family = TinyFamily(config.model_type, model, tokenizer, 0 if config.model_type == "internvl" else 4 * PATCHES)
    # among so many tokens those that end an answer would never win by chance
    model.lm_head.weight.data[list(family.eos_ids)] *= 2.5
    return family
