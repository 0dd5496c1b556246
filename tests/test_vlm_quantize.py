"""4-bit weights on CPUs that pack them in blocks and on CPUs that do not: both by choice, on any machine."""

import pytest

torch = pytest.importorskip("torch", reason="the extra 'vlm' is not installed")

import bitsandbytes  # noqa: E402
from test_vlm_loading import config_of  # noqa: E402

from backends.vlm import quantize  # noqa: E402
from backends.vlm.loading import LoadSettings, load_internvl, load_llama_vision  # noqa: E402
from benchmarks import vlm_shapes  # noqa: E402

CPU = torch.device("cpu")
LOADERS = {"internvl": load_internvl, "mllama": load_llama_vision}
SHAPES = {"internvl": "internvl3-2b", "mllama": "llama-3.2-11b-vision"}


@pytest.fixture(params=LOADERS)
def model_type(request):
    return request.param


@pytest.fixture
def folder(model_type, tiny_internvl, tiny_llama_vision):
    return {"internvl": tiny_internvl, "mllama": tiny_llama_vision}[model_type]


@pytest.fixture(params=[True, False], ids=["packing-cpu", "other-cpu"])
def packing(request, monkeypatch):
    """Whether the CPU packs. One that cannot is given the product of packed weights, written out."""
    real = bitsandbytes.functional.has_avx512bf16()
    monkeypatch.setattr(bitsandbytes.nn.modules, "has_avx512bf16", lambda: request.param)
    if request.param and not real:
        monkeypatch.setattr(bitsandbytes.functional, "gemv_4bit", packed_product)
    return request.param


def packed_product(rows, packed, out=None, state=None):
    """The product with packed weights: column by column of a block, two rows of a pair of columns in one byte."""
    height, width = state.shape
    low, high = packed.reshape(-1, 32) & 15, packed.reshape(-1, 32) >> 4
    blocks = torch.cat([low, high], dim=1).reshape(height // 32, width // 2, 32, 2)
    codes = blocks.transpose(1, 2).reshape(height, width).long()
    scales = state.absmax.T.repeat_interleave(state.blocksize, dim=1)
    return rows @ (state.code[codes] * scales).to(rows.dtype).T


def four_bit_layers(model):
    return [module for module in model.modules() if type(module).__name__ == "Linear4bit"]


def checked_products(model):
    """Compare every 4-bit layer with the product of its own weights; return the layers that packed them."""
    packed = []
    for layer in four_bit_layers(model):
        whole = bitsandbytes.functional.dequantize_4bit(layer.weight.data, layer.weight.quant_state).to(torch.bfloat16)
        rows = torch.randn(3, layer.in_features, dtype=torch.bfloat16, generator=torch.Generator().manual_seed(1))
        wanted = torch.nn.functional.linear(rows, whole, layer.bias)
        with torch.inference_mode():
            found = layer(rows)
        assert torch.allclose(found.float(), wanted.float(), rtol=0.05, atol=0.05 * wanted.abs().max().item())
        if getattr(layer.weight.quant_state, "packing_format_for_cpu", False):
            packed.append(layer)
    return packed


def assert_only_whole_blocks_are_packed(model, packing):
    layers = four_bit_layers(model)
    whole = [layer for layer in layers if layer.out_features % 32 == 0 and layer.in_features % 64 == 0]
    assert whole
    assert len(whole) < len(layers)
    packed = checked_products(model)
    assert [id(layer) for layer in packed] == [id(layer) for layer in whole if packing]


def test_a_checkpoint_in_4_bits_multiplies_right_whatever_its_shapes(model_type, folder, packing):
    loaded = LOADERS[model_type](LoadSettings(str(folder), device="cpu", precision="nf4"))
    assert_only_whole_blocks_are_packed(loaded.family.model, packing)


def test_a_model_quantised_in_place_multiplies_right_whatever_its_shapes(model_type, folder, packing):
    model = vlm_shapes.random_weights(SHAPES[model_type], CPU, "nf4", config_of(folder))
    assert_only_whole_blocks_are_packed(model, packing)


@pytest.mark.parametrize(("rows", "columns"), [(33, 64), (32, 96), (48, 64), (16, 32)])
def test_shapes_that_fill_no_blocks_stay_in_the_common_layout(packing, rows, columns):
    model = torch.nn.Sequential(torch.nn.Linear(columns, rows).to(torch.bfloat16)).eval()
    quantize.quantise(model, "nf4", ())
    assert checked_products(model) == []
