"""InternVL3: pages become tiles among the prompt's tokens (arXiv 2504.10479). Knows how, not when or how many."""

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
from backends.vlm.pages import Picture, pictures, tile_signals
from backends.vlm.preprocess import PixelRule, internvl_pixels
from backends.vlm.prompting import ChatPrompt, behind_pictures, expand_pictures
from backends.vlm.requests import Batch, Prepared
from backends.vlm.tiling import PagePlan, TileLimits, plan_pages
from router.errors import ExtractionError

NO_BOUND = 10**9
QUESTION_TOKENS = 704
"""Counted for a question at least: all of a dialogue then leave the same room to the tiles that they share. Beside it,
13 tiles of 256 tokens fit into the prompt of a slot as it ships."""


@dataclass(frozen=True, eq=False)
class InternVL(LoadedFamily):
    """A loaded InternVL3 checkpoint; implements `Family`."""

    tile_tokens: int
    cross_tokens: int = 0

    @classmethod
    def of(cls, model: Any, processor: Any, limits: TileLimits | None = None, name: str = "internvl3") -> InternVL:
        """Return the family of a loaded model and its processor."""
        text_model, writer = cls._decoder(model)
        return cls(
            model=model,
            processor=processor,
            limits=limits or TileLimits(),
            name=name,
            text_model=text_model,
            lm_head=writer.lm_head,
            eos_ids=eos_ids(writer, processor.tokenizer),
            rule=PixelRule.of(processor.image_processor),
            chat=ChatPrompt(processor),
            tile_tokens=int(processor.image_seq_length),
        )

    @staticmethod
    def _decoder(model: Any) -> tuple[Any, Any]:
        """Return the decoder, and the module that holds the output layer and the settings of generation."""
        return model.model.language_model, model

    def split(self, request: GenerationRequest) -> tuple[GenerationRequest, ...]:
        """Return requests of as many following pages as fit into a prompt at readable size."""
        if len(request.images) == 1:
            return (request,)
        shown = pictures(request)
        plans = plan_pages([picture.shape for picture in shown], self.limits, self.rule.tile_px, NO_BOUND)
        glyphs = tuple(picture.shape.glyph_height_px for picture in shown)
        groups: list[list[int]] = []
        for page, plan in enumerate(plans):
            together = [plans[other] for other in groups[-1]] if groups else []
            if together and self._fits(_only(request, [*groups[-1], page], glyphs), [*together, plan]):
                groups[-1].append(page)
            else:
                groups.append([page])
        return tuple(_only(request, pages, glyphs) for pages in groups)

    def prepare(self, request: GenerationRequest, max_tiles: int | None = None, image_scale: float = 1.0) -> Prepared:
        """Return the request as token ids and planned tiles; raise `ExtractionError` when it cannot fit."""
        shown = pictures(request, image_scale)
        if not shown:
            raise ExtractionError("a vision-language model was asked without a picture")
        text_ids = self._text_ids(request)
        budget = self._tile_budget(text_ids, len(shown))
        shapes = [picture.shape for picture in shown]
        plans = plan_pages(shapes, self.limits.at_most(max_tiles), self.rule.tile_px, budget)
        if sum(plan.tiles for plan in plans) > budget:
            raise ExtractionError(
                f"{len(shown)} pages and {len(text_ids)} text tokens do not fit into a prompt of "
                f"{self.limits.prompt_tokens} tokens, even in the fewest tiles"
            )
        wanted = plan_pages(shapes, self.limits, self.rule.tile_px, NO_BOUND)
        return self._prepared(text_ids, shown, plans, tile_signals(plans, wanted, image_scale))

    def collate(self, items: Sequence[Prepared]) -> Batch:
        """Return the group on the device; `image_places` are the image tokens' places in the flattened ids."""
        device = self.device
        ids, lengths = pad_right([item.input_ids for item in items], self.tokenizer.pad_token_id or 0, device)
        longest = max(item.prompt_tokens for item in items)
        context = self.processor.image_token_id
        places = [(item.input_ids == context).nonzero().flatten() + row * longest for row, item in enumerate(items)]
        pages = [page for item in items for page in item.pages]
        grids = [grid for item in items for grid in item.grids]
        pixels = internvl_pixels(pages, grids, self.rule, device, self.dtype)
        inputs = {"input_ids": ids, "pixel_values": pixels, "image_places": upload(torch.cat(places), device)}
        return Batch(inputs, lengths)

    def prefill(self, batch: Batch, cache: Cache) -> Tensor:
        """Fill `cache` and return the logits (n, vocabulary) after each row's last real token."""
        ids, places = batch.inputs["input_ids"], batch.inputs["image_places"]
        embedded = self.text_model.embed_tokens(ids)
        features = self.image_features(batch.inputs["pixel_values"]).flatten(0, 1).to(embedded.dtype)
        # by place and not by mask: a mask's number of places would have to be read back from the device
        embedded = embedded.flatten(0, 1).index_copy(0, places, features).view_as(embedded)
        hidden = self.text_model(
            inputs_embeds=embedded,
            position_ids=torch.arange(ids.shape[1], device=ids.device)[None],
            use_cache=True,
            **{cache_name(self.text_model): cache},
        ).last_hidden_state
        return last_logits(hidden, batch.lengths, self.lm_head)

    def image_features(self, pixels: Tensor) -> Tensor:
        """Return embeddings (tiles, tile_tokens, width) of tiles (tiles, 3, side, side).

        The vision tower is called itself, because transformers' own way keeps the hidden states of layers that nobody
        reads.
        """
        core = self.model.model
        patches = core.vision_tower(pixel_values=pixels).last_hidden_state[:, 1:]
        side = int(patches.shape[1] ** 0.5)
        square = patches.unflatten(1, (side, side))
        merged = core.pixel_shuffle(square, scale_factor=core.config.downsample_ratio)
        features: Tensor = core.multi_modal_projector(merged.flatten(1, 2))
        return features

    def _text_ids(self, request: GenerationRequest) -> Tensor:
        return self.chat.token_ids(request.prompt, len(request.images), request.captions)

    def _fits(self, request: GenerationRequest, plans: Sequence[PagePlan]) -> bool:
        return sum(plan.tiles for plan in plans) <= self._tile_budget(self._text_ids(request), len(plans))

    def _tile_budget(self, text_ids: Tensor, pages: int) -> int:
        question = len(behind_pictures(text_ids, self.processor.image_token_id))
        room = max(question, min(QUESTION_TOKENS, self.limits.prompt_tokens // 4))
        # a page's placeholder becomes its tiles' tokens between a start and an end token
        beside = len(text_ids) - question + room + pages
        return max(0, (self.limits.prompt_tokens - beside) // self.tile_tokens)

    def _prepared(
        self, text_ids: Tensor, shown: Sequence[Picture], plans: Sequence[PagePlan], signals: dict[str, float]
    ) -> Prepared:
        processor = self.processor
        first, context, last = processor.start_image_token_id, processor.image_token_id, processor.end_image_token_id
        spans = [torch.tensor([first, *[context] * (plan.tiles * self.tile_tokens), last]) for plan in plans]
        ids = expand_pictures(text_ids, context, spans)
        return Prepared(
            input_ids=ids,
            pages=tuple(picture.pixels for picture in shown),
            grids=tuple(plan.grid for plan in plans),
            tiles=sum(plan.tiles for plan in plans),
            prompt_tokens=len(ids),
            signals=signals,
            prefix_tokens=len(ids) - len(behind_pictures(text_ids, context)),
        )


def _only(request: GenerationRequest, pages: Sequence[int], glyphs: Sequence[float | None]) -> GenerationRequest:
    return replace(
        request,
        images=tuple(request.images[page] for page in pages),
        glyph_heights_px=tuple(glyphs[page] for page in pages),
        captions=tuple(request.captions[page] for page in pages) if request.captions else (),
    )
