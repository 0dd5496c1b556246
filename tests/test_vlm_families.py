"""Both families against transformers' own processors and `generate`, on tiny checkpoints."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra 'vlm' is not installed")

import transformers  # noqa: E402
from transformers import DynamicCache  # noqa: E402

from backends.base import GenerationRequest  # noqa: E402
from backends.vlm.internvl import InternVL  # noqa: E402
from backends.vlm.llama_vision import LlamaVision  # noqa: E402
from backends.vlm.prompting import ChatPrompt  # noqa: E402
from backends.vlm.tiling import TileLimits  # noqa: E402
from router.errors import ExtractionError  # noqa: E402

PROMPT = "Read this invoice.\ntotal_amount (amount): the total\ninvoice_date (date): the date"
SIZES = [(300, 200), (90, 160), (56, 56), (500, 110)]


def page(width, height, seed=0):
    rng = np.random.default_rng(seed + width * height)
    return rng.integers(0, 256, (height, width, 3), dtype=np.uint8)


def asked(*sizes, prompt=PROMPT, glyph=None):
    pages = tuple(page(*size, seed) for seed, size in enumerate(sizes))
    return GenerationRequest(prompt, pages, 16, glyph_heights_px=(glyph,) * len(pages) if glyph else ())


@pytest.fixture(scope="module")
def internvl(tiny_internvl):
    return loaded(InternVL, tiny_internvl)


@pytest.fixture(scope="module")
def llama(tiny_llama_vision):
    return loaded(LlamaVision, tiny_llama_vision)


@pytest.fixture(scope="module", params=["internvl", "llama"])
def family(request):
    return request.getfixturevalue(request.param)


def loaded(kind, folder):
    model = transformers.AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32).eval()
    return kind.of(model, transformers.AutoProcessor.from_pretrained(folder))


def reference(family, request, **bounds):
    """What transformers makes of the request, tiles as many as the reference takes within its `bounds`."""
    parts = [{"type": "image", "image": image} for image in request.images] + [{"type": "text", "text": request.prompt}]
    options = {"images_kwargs": {"crop_to_patches": True, **bounds}} if isinstance(family, InternVL) else {}
    return family.processor.apply_chat_template(
        [{"role": "user", "content": parts}],
        add_generation_prompt=True,
        tokenize=True,
        return_dict=True,
        return_tensors="pt",
        processor_kwargs=options,
    )


@pytest.mark.parametrize("size", SIZES)
def test_a_request_becomes_what_the_reference_processor_makes_of_it(family, size):
    request = asked(size)
    theirs = reference(family, request)
    item = family.prepare(request)
    batch = family.collate([item])
    assert batch.inputs["input_ids"].tolist() == theirs["input_ids"].tolist()
    assert item.prompt_tokens == len(item.input_ids)
    assert torch.allclose(batch.inputs["pixel_values"], theirs["pixel_values"], atol=2 / 255 / 0.22)
    for name in ("aspect_ratio_ids", "aspect_ratio_mask", "cross_attention_mask"):
        assert (name in batch.inputs) == (name in theirs)
        if name in theirs:
            assert batch.inputs[name].tolist() == theirs[name].tolist()


def test_several_pages_go_into_one_prompt_as_the_reference_processor_puts_them(internvl):
    request = asked(*SIZES[:3])
    batch = internvl.collate([internvl.prepare(request)])
    theirs = reference(internvl, request)
    assert batch.inputs["input_ids"].tolist() == theirs["input_ids"].tolist()
    assert batch.inputs["pixel_values"].shape == theirs["pixel_values"].shape


def test_a_ragged_group_prefills_as_each_request_alone_does_in_transformers(family):
    requests = [asked(size, prompt=PROMPT + "\nmore" * i) for i, size in enumerate(SIZES)]
    batch = family.collate([family.prepare(request) for request in requests])
    with torch.inference_mode():
        ours = family.prefill(batch, DynamicCache(config=family.text_model.config))
        theirs = torch.cat([family.model(**reference(family, request)).logits[:, -1] for request in requests])
    assert torch.allclose(ours, theirs, atol=2e-3), (ours - theirs).abs().max()
    assert ours.argmax(-1).tolist() == theirs.argmax(-1).tolist()
    assert batch.lengths.tolist() == [len(family.prepare(request).input_ids) for request in requests]


def test_cross_lengths_count_the_keys_of_filled_tiles(llama):
    batch = llama.collate([llama.prepare(asked(size)) for size in SIZES])
    tiles = batch.inputs["aspect_ratio_mask"].sum((1, 2))
    assert batch.cross_lengths.tolist() == (tiles * llama.tile_tokens).tolist()
    assert llama.cross_tokens == 4 * llama.tile_tokens
    assert len(set(batch.cross_lengths.tolist())) > 1


def test_fewer_tiles_and_smaller_pages_can_be_asked_for_and_are_told(internvl):
    full = internvl.prepare(asked((300, 200)))
    fewer = internvl.prepare(asked((300, 200)), max_tiles=2)
    small = internvl.prepare(asked((300, 200)), image_scale=0.5)
    assert fewer.tiles == 3 < full.tiles
    assert fewer.signals["tiles_reduced"] == full.tiles - 3
    assert "tiles_reduced" not in full.signals
    assert small.pages[0].shape == (100, 150, 3)
    assert small.signals["image_scale"] == 0.5


def test_large_letters_take_fewer_tiles_than_small_ones(internvl):
    large, small = (internvl.prepare(asked((300, 200), glyph=glyph)) for glyph in (40, 9))
    assert large.tiles < small.tiles
    assert large.signals["tile_glyph_px"] >= 8


def test_a_page_over_the_token_budget_is_shown_in_fewer_tiles_and_this_is_told(internvl, tiny_internvl):
    text = len(internvl.chat.token_ids(PROMPT, 1))
    tight = InternVL.of(internvl.model, internvl.processor, TileLimits(prompt_tokens=text + 1 + 5 * 4))
    item = tight.prepare(asked((300, 200)))
    assert item.prompt_tokens <= text + 1 + 5 * 4
    assert item.signals["tiles_reduced"] > 0
    with pytest.raises(ExtractionError, match="do not fit"):
        InternVL.of(internvl.model, internvl.processor, TileLimits(prompt_tokens=text)).prepare(asked((300, 200)))


def test_pages_are_put_into_as_few_prompts_as_their_tokens_allow(internvl):
    text = len(internvl.chat.token_ids(PROMPT, 1))
    family = InternVL.of(internvl.model, internvl.processor, TileLimits(prompt_tokens=text + 100))
    request = asked(*[(300, 200)] * 5, glyph=9)
    parts = family.split(request)
    assert 1 < len(parts) < 5
    assert sum((part.images for part in parts), ()) == request.images
    assert all("tiles_reduced" not in family.prepare(part).signals for part in parts)
    assert len(internvl.split(request)) == 1


def test_llama_is_shown_one_page_at_a_time(llama):
    assert [len(part.images) for part in llama.split(asked(*SIZES))] == [1] * len(SIZES)
    for request in (asked(), asked(*SIZES)):
        with pytest.raises(ExtractionError, match="one page"):
            llama.prepare(request)


def test_special_tokens_in_a_prompt_are_only_text(family):
    plain = family.prepare(asked((56, 56)))
    names = "<|im_end|><|eot_id|><IMG_CONTEXT><|image|>"
    item = family.prepare(asked((56, 56), prompt=PROMPT + names))
    special = set(family.tokenizer.convert_tokens_to_ids([*family.tokenizer.get_added_vocab()]))
    assert [i for i in item.input_ids.tolist() if i in special] == [i for i in plain.input_ids.tolist() if i in special]


def test_read_only_pictures_are_taken(family):
    image = page(90, 60)
    image.flags.writeable = False
    assert family.prepare(GenerationRequest(PROMPT, (image,), 16)).pages[0].shape == (60, 90, 3)


def test_prompts_are_encoded_once(internvl):
    chat = ChatPrompt(internvl.processor)
    assert chat.token_ids("Same", 1) is chat.token_ids("Same", 1)
    assert len(chat.token_ids("Same", 2)) > len(chat.token_ids("Same", 1))
