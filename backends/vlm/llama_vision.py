"""Llama 3.2 Vision: a page becomes keys that the text attends to (arXiv 2407.21783). Knows how, not when.

One page a request: text after several pictures attends to the last alone. A single page needs no caption.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from transformers import Cache

from backends.base import GenerationRequest
from backends.vlm.family import cache_name, eos_ids, last_logits, pad_right, upload
from backends.vlm.loaded_family import LoadedFamily
from backends.vlm.pages import pictures, tile_signals
from backends.vlm.preprocess import PixelRule, aspect_ratio_id, canvas_grid, llama_pixels
from backends.vlm.prompting import ChatPrompt
from backends.vlm.requests import Batch, Prepared
from backends.vlm.tiling import PagePlan, PageShape, TileLimits
from router.errors import ExtractionError


@dataclass(frozen=True, eq=False)
class LlamaVision(LoadedFamily):
    """A loaded Llama 3.2 Vision checkpoint; implements `Family`."""

    model_tiles: int
    tile_tokens: int
    cross_tokens: int

    @classmethod
    def of(
        cls, model: Any, processor: Any, limits: TileLimits | None = None, name: str = "llama-vision"
    ) -> LlamaVision:
        """Return the family of a loaded model and its processor."""
        model_tiles = int(model.config.vision_config.max_num_tiles)
        tile_tokens = int(model.model.vision_model.num_patches)
        return cls(
            model=model,
            processor=processor,
            limits=(limits or TileLimits()).at_most(model_tiles),
            name=name,
            text_model=model.model.language_model,
            lm_head=model.lm_head,
            eos_ids=eos_ids(model, processor.tokenizer),
            rule=PixelRule.of(processor.image_processor),
            chat=ChatPrompt(processor),
            model_tiles=model_tiles,
            tile_tokens=tile_tokens,
            cross_tokens=model_tiles * tile_tokens,
        )

    def split(self, request: GenerationRequest) -> tuple[GenerationRequest, ...]:
        """Return one request a page."""
        glyphs = request.glyph_heights_px or (None,) * len(request.images)
        pages = zip(request.images, glyphs, strict=True)
        whole = replace(request, captions=())
        return tuple(replace(whole, images=(image,), glyph_heights_px=(glyph,)) for image, glyph in pages)

    def prepare(self, request: GenerationRequest, max_tiles: int | None = None, image_scale: float = 1.0) -> Prepared:
        """Return the request as token ids and planned tiles; raise `ExtractionError` when it cannot fit."""
        if len(request.images) != 1:
            raise ExtractionError(f"Llama 3.2 Vision reads one page a request, not {len(request.images)}")
        [page] = pictures(request, image_scale)
        ids = self._text_ids(request)
        if len(ids) > self.limits.prompt_tokens:
            raise ExtractionError(f"a prompt of {len(ids)} tokens is over the bound of {self.limits.prompt_tokens}")
        plan, wanted = (self._plan(page.shape, bounds) for bounds in (self.limits.at_most(max_tiles), self.limits))
        return Prepared(
            input_ids=ids,
            pages=(page.pixels,),
            grids=(plan.grid,),
            tiles=self.model_tiles,  # the vision tower computes empty tiles as well
            prompt_tokens=len(ids),
            signals=tile_signals([plan], [wanted], image_scale),
            prefix_tokens=self._picture_place(ids) + 1,
        )

    def collate(self, items: Sequence[Prepared]) -> Batch:
        """Return the group on the device; the masks follow transformers' own processor."""
        device = self.device
        ids, lengths = pad_right([item.input_ids for item in items], self.tokenizer.pad_token_id or 0, device)
        longest, grids = max(item.prompt_tokens for item in items), [item.grids[0] for item in items]
        filled = torch.tensor([columns * rows for columns, rows in grids])
        tiles = (torch.arange(self.model_tiles) < filled[:, None]).long()
        sees = torch.arange(longest) >= torch.tensor([self._picture_place(item.input_ids) for item in items])[:, None]
        pages = [item.pages[0] for item in items]
        inputs = {
            "input_ids": ids,
            "pixel_values": llama_pixels(pages, grids, self.rule, self.model_tiles, device, self.dtype),
            "aspect_ratio_ids": upload(torch.tensor([[aspect_ratio_id(g, self.model_tiles)] for g in grids]), device),
            "aspect_ratio_mask": upload(tiles[:, None], device),
            "cross_attention_mask": upload(sees.long()[:, :, None, None] * tiles[:, None, None], device),
        }
        return Batch(inputs, lengths, upload(filled * self.tile_tokens, device))

    def prefill(self, batch: Batch, cache: Cache) -> Tensor:
        """Fill `cache` and return the logits (n, vocabulary) after each row's last real token."""
        longest = batch.inputs["input_ids"].shape[1]
        hidden = self.model.model(
            **batch.inputs,
            position_ids=torch.arange(longest, device=self.device)[None],
            use_cache=True,
            **{cache_name(self.model.model): cache},
        ).last_hidden_state
        return last_logits(hidden, batch.lengths, self.lm_head)

    def _plan(self, page: PageShape, limits: TileLimits) -> PagePlan:
        """All tiles that the page can fill: they cost the same, filled or not."""
        side = self.rule.tile_px
        grid = canvas_grid(page.width_px, page.height_px, side, limits.max_tiles)
        scale = min(1.0, grid[0] * side / page.width_px, grid[1] * side / page.height_px)
        glyph = page.glyph_height_px
        return PagePlan(grid, grid[0] * grid[1], None if glyph is None else glyph * scale)

    def _picture_place(self, ids: Tensor) -> int:
        return int((ids == self.processor.image_token_id).nonzero()[0, 0])
