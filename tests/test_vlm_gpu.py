"""What only a GPU can show of tiling, prefill, quantised weights and weights that stay with the host."""

import dataclasses

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra 'vlm' is not installed")

import transformers  # noqa: E402
from test_vlm_loading import LOADERS, config_of  # noqa: E402
from test_vlm_preprocess import GOT, MLLAMA, SIZES, page_of  # noqa: E402
from transformers import DynamicCache  # noqa: E402

from backends.base import GenerationRequest  # noqa: E402
from backends.vlm import preprocess  # noqa: E402
from backends.vlm.loading import LoadSettings  # noqa: E402
from backends.vlm.offload import HostLinear, offload  # noqa: E402
from backends.vlm.preprocess import PixelRule  # noqa: E402
from backends.vlm.rotary import fix_rotary  # noqa: E402
from benchmarks import vlm_shapes  # noqa: E402
from benchmarks.checkpoints.internvl import make_internvl  # noqa: E402
from benchmarks.checkpoints.llama_vision import make_llama_vision  # noqa: E402

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
CPU, GPU = torch.device("cpu"), torch.device("cuda", 0)
NAMES = {"internvl": "internvl3-2b", "mllama": "llama-3.2-11b-vision"}


# made here too, so that this file runs with --noconftest on a machine that has no broker
@pytest.fixture(scope="module")
def tiny_internvl(tmp_path_factory):
    return make_internvl(tmp_path_factory.mktemp("internvl"))


@pytest.fixture(scope="module")
def tiny_llama_vision(tmp_path_factory):
    return make_llama_vision(tmp_path_factory.mktemp("llama_vision"))


@pytest.fixture(params=LOADERS)
def model_type(request):
    return request.param


@pytest.fixture
def folder(model_type, tiny_internvl, tiny_llama_vision):
    return {"internvl": tiny_internvl, "mllama": tiny_llama_vision}[model_type]


def load(model_type, folder, **settings):
    return LOADERS[model_type](LoadSettings(str(folder), **settings)).family


def requests():
    rng = np.random.default_rng(0)
    sizes = [(300, 200), (90, 160), (56, 56), (500, 110)]
    pages = [rng.integers(0, 256, (height, width, 3), dtype=np.uint8) for width, height in sizes]
    return [GenerationRequest("total_amount (amount): the total" + "\nmore" * i, (p,), 8) for i, p in enumerate(pages)]


def collated(family):
    return family.collate([family.prepare(request) for request in requests()])


def prefilled(family, batch=None):
    with torch.inference_mode():
        return family.prefill(batch or collated(family), DynamicCache(config=family.text_model.config)).float().cpu()


def moved(batch, device):
    """The same tiles elsewhere: one level in a hundred pixels, which resizing may differ by, moves the logits of tiny
    random towers by a tenth."""
    inputs = {name: tensor.to(device) for name, tensor in batch.inputs.items()}
    cross = None if batch.cross_lengths is None else batch.cross_lengths.to(device)
    return dataclasses.replace(batch, inputs=inputs, lengths=batch.lengths.to(device), cross_lengths=cross)


@pytest.mark.parametrize("processor", [GOT, MLLAMA], ids=["internvl", "llama"])
def test_pages_are_resized_as_on_a_cpu(processor):
    rule = PixelRule.of(processor)
    for width, height in [*SIZES, (827, 1169)]:
        page = page_of(width, height)
        for size in ((56, 56), (112, 168)):
            there = preprocess._resize(preprocess.upload_page(page, GPU), *size, rule).cpu().short()
            difference = (there - preprocess._resize(preprocess.upload_page(page, CPU), *size, rule)).abs()
            assert difference.max() <= 2, (width, height, size)
            assert (difference > 1).float().mean() < 2e-4, (width, height, size)


def test_a_group_prefills_as_on_a_cpu(model_type, folder):
    here, there = (load(model_type, folder, device=device, precision="fp32") for device in ("cpu", "cuda"))
    batch = collated(here)
    assert torch.allclose(prefilled(here, batch), prefilled(there, moved(batch, GPU)), atol=2e-2)


def test_neither_collating_nor_prefilling_waits_for_the_device(model_type, folder):
    family = load(model_type, folder, device="cuda")
    fix_rotary(family.text_model, slot_tokens=4096)  # as the engine does: transformers' own reads positions back
    prefilled(family)  # what is made once may wait
    items = [family.prepare(request) for request in requests()]
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        with torch.inference_mode():
            family.prefill(family.collate(items), DynamicCache(config=family.text_model.config))
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_the_precision_is_chosen_by_free_memory(model_type, folder):
    loaded = LOADERS[model_type](LoadSettings(str(folder), device="cuda"))
    assert (loaded.precision, loaded.offloaded) == ("bf16", False)
    assert loaded.family.dtype == torch.bfloat16


@pytest.mark.parametrize("precision", ["int8", "nf4"])
def test_weights_quantised_in_place_and_at_loading_read_alike(model_type, folder, precision):
    pytest.importorskip("bitsandbytes")
    whole = prefilled(load(model_type, folder, device="cuda", precision="bf16"))
    quantised = prefilled(load(model_type, folder, device="cuda", precision=precision))
    assert torch.cosine_similarity(whole.flatten(), quantised.flatten(), dim=0) > (0.98 if precision == "int8" else 0.8)
    model = vlm_shapes.random_weights(NAMES[model_type], GPU, precision, config_of(folder))
    family = type(load(model_type, folder, device="cuda"))
    assert prefilled(family.of(model, transformers.AutoProcessor.from_pretrained(folder))).isfinite().all()


def test_weights_that_stay_with_the_host_give_the_same_logits(model_type, folder):
    whole = prefilled(load(model_type, folder, device="cuda", precision="bf16"))
    family = load(model_type, folder, device="cpu", precision="bf16")
    layers = [m for m in family.text_model.layers.modules() if isinstance(m, torch.nn.Linear)]
    held = sum(weight.nbytes for weight in family.model.parameters())
    assert offload(family.model, GPU, held - sum(layer.weight.nbytes for layer in layers)) == len(layers)
    assert all(m.weight.is_pinned() for m in family.model.modules() if isinstance(m, HostLinear))
    assert torch.allclose(prefilled(family), whole, atol=1e-2)
