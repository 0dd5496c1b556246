"""A fused prefill against the layers of transformers themselves, on tiny models."""

import os

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra 'vlm' is not installed")

import transformers  # noqa: E402

from backends.base import GenerationRequest  # noqa: E402
from backends.vlm.cache import CacheShape, SlotCache  # noqa: E402
from backends.vlm.fused_prefill import FusedTextLayer, PatchProduct, fuse  # noqa: E402
from backends.vlm.internvl import InternVL  # noqa: E402
from backends.vlm.kernels import TorchKernels  # noqa: E402
from backends.vlm.llama_vision import LlamaVision  # noqa: E402
from backends.vlm.projections import Projections  # noqa: E402

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
FUSED_RUN = DEVICE == "cuda" or os.environ.get("TRITON_INTERPRET") == "1"


@pytest.fixture(params=["tiny_internvl", "tiny_llama_vision"])
def family(request):
    folder = request.getfixturevalue(request.param)
    kind = InternVL if request.param == "tiny_internvl" else LlamaVision
    model = transformers.AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32).eval().to(DEVICE)
    return kind.of(model, transformers.AutoProcessor.from_pretrained(folder))


def prefilled(family):
    rng = np.random.default_rng(0)
    pages = [rng.integers(0, 256, (60 * (i + 1), 90, 3), dtype=np.uint8) for i in range(3)]
    asked = [GenerationRequest("Total" * (4 * i + 1), (page,), 8) for i, page in enumerate(pages)]
    batch = family.collate([family.prepare(one) for one in asked])
    shape = CacheShape.of(family.text_model.config, family.cross_tokens)
    cache = SlotCache(shape, 4, 400, torch.float32, family.device)
    with torch.inference_mode():
        logits = family.prefill(batch, cache.prefill_into(torch.tensor([2, 0, 3], device=family.device)))
    filled = [k[row, :, :n] for k in cache.keys for row, n in zip([2, 0, 3], batch.lengths.tolist(), strict=True)]
    return [logits, *filled]


def kernels():
    if not FUSED_RUN:
        return TorchKernels()
    from backends.vlm.triton_kernels import TritonKernels

    return TritonKernels()


def test_a_fused_prefill_gives_the_same_logits_and_keys(family, monkeypatch):
    plain = prefilled(family)

    def unfused(*args, **kwargs):
        raise AssertionError("the layer went its old way")

    with torch.inference_mode():
        fuse(family.model, family.text_model, kernels())
    for layer in family.text_model.layers:
        if isinstance(layer.forward, FusedTextLayer):
            monkeypatch.setattr(layer.forward, "_unfused", unfused)
    for got, wanted in zip(prefilled(family), plain, strict=True):
        torch.testing.assert_close(got, wanted, atol=2e-4, rtol=2e-4)


@pytest.mark.parametrize(("size", "side"), [((3, 28, 42), 14), ((3, 30, 30), 14), ((1, 8, 8), 4)])
def test_a_product_stands_for_a_convolution_of_patches(size, side):
    convolution = torch.nn.Conv2d(size[0], 10, side, stride=side)
    assert PatchProduct.can_stand_for(convolution)
    assert not PatchProduct.can_stand_for(torch.nn.Conv2d(3, 10, side, stride=side, padding=1))
    assert not PatchProduct.can_stand_for(torch.nn.Conv2d(3, 10, side, stride=1))
    tiles = torch.randn(2, *size)
    torch.testing.assert_close(PatchProduct(convolution)(tiles), convolution(tiles), atol=1e-5, rtol=1e-5)


def test_merged_projections_share_memory_with_their_modules_and_merge_once():
    modules = [torch.nn.Linear(8, n, bias=n > 1) for n in (4, 2, 6)]
    x = torch.randn(3, 8)
    wanted = [module(x) for module in modules]
    first, again = Projections(modules), Projections(modules)
    assert first.merged
    for merged in (first, again):
        for got, expected in zip(merged(x), wanted, strict=True):
            torch.testing.assert_close(got, expected)
    place = modules[0].weight.untyped_storage().data_ptr()
    assert {module.weight.untyped_storage().data_ptr() for module in modules} == {place}
    assert not Projections([modules[0], torch.nn.Linear(8, 2, bias=False)]).merged
