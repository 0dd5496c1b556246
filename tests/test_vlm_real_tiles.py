"""Prompts, pixels and masks at the published tile sizes, 448 and 560 pixels, against transformers' own processors."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra 'vlm' is not installed")

from test_vlm_families import PROMPT, loaded, reference  # noqa: E402
from transformers import DynamicCache  # noqa: E402

from backends.base import GenerationRequest  # noqa: E402
from backends.vlm.internvl import InternVL  # noqa: E402
from backends.vlm.llama_vision import LlamaVision  # noqa: E402
from benchmarks.checkpoints import internvl, llama_vision  # noqa: E402
from router.page_features_layout import tile_grid  # noqa: E402

A4_PX = (1654, 2339)
SIZES = [
    *(A4_PX, A4_PX[::-1], (2480, 3508), (1700, 2200), (850, 1100), (827, 1169)),
    *((448, 448), (560, 560), (447, 449), (561, 559), (1120, 560), (560, 2240)),
    *((700, 2600), (576, 1800), (1000, 700), (1344, 896), (3000, 1000), (320, 240)),
    *((40, 900), (30, 20)),
]
MASKS = ("aspect_ratio_ids", "aspect_ratio_mask", "cross_attention_mask")


@pytest.fixture(scope="module", params=["internvl", "llama"])
def family(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    if request.param == "internvl":
        return loaded(InternVL, internvl.make_internvl(folder, internvl.TILE_PX))
    return loaded(LlamaVision, llama_vision.make_llama_vision(folder, llama_vision.TILE_PX))


def shades(width, height):
    """A page without letters: nothing on it could ask for fewer tiles than the reference takes."""
    down, right = np.linspace(0, 255, height)[:, None], np.linspace(0, 90, width)[None]
    channels = (down + 0 * right, (down + right) / 2, down[::-1] + 0 * right)
    return np.stack(channels, axis=-1).astype(np.uint8)


def noise(width, height):
    return np.random.default_rng(width * height).integers(0, 256, (height, width, 3), dtype=np.uint8)


def assert_equal(family, request, theirs):
    ours = family.collate([family.prepare(request)]).inputs
    assert ours["input_ids"].tolist() == theirs["input_ids"].tolist()
    assert ours["pixel_values"].shape == theirs["pixel_values"].shape
    assert torch.equal(ours["pixel_values"], theirs["pixel_values"])
    for name in MASKS:
        assert (name in ours) == (name in theirs)
        if name in theirs:
            assert ours[name].tolist() == theirs[name].tolist()


@pytest.mark.parametrize("size", SIZES)
def test_a_page_becomes_what_the_reference_processor_makes_of_it(family, size):
    request = GenerationRequest(PROMPT, (shades(*size),), 16)
    assert_equal(family, request, reference(family, request))


@pytest.mark.parametrize("size", [A4_PX, (1000, 700), (700, 2600)])
def test_a_page_whose_letters_take_fewer_tiles_is_cut_as_the_reference_cuts_it_into_so_many(family, size):
    request = GenerationRequest(PROMPT, (noise(*size),), 16, glyph_heights_px=(40.0,))
    [(columns, rows)] = family.prepare(request).grids
    if isinstance(family, InternVL):
        assert columns * rows < np.prod(tile_grid(*size))
        bounds = {"min_patches": columns * rows, "max_patches": columns * rows}
    else:
        bounds = {}
    assert_equal(family, request, reference(family, request, **bounds))


def test_a_page_of_many_tiles_prefills_as_it_does_in_transformers(family):
    request = GenerationRequest(PROMPT, (noise(*A4_PX),), 16, glyph_heights_px=(12.0,))
    item = family.prepare(request)
    assert item.tiles >= 4
    batch = family.collate([item])
    with torch.inference_mode():
        ours = family.prefill(batch, DynamicCache(config=family.text_model.config))
        inputs = {name: tensor for name, tensor in batch.inputs.items() if name != "image_places"}
        theirs = family.model(**inputs).logits[:, -1]
    assert torch.allclose(ours, theirs, atol=2e-3)
    assert ours.argmax(-1).tolist() == theirs.argmax(-1).tolist()
