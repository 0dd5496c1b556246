"""Checkpoints that are not whole or not what they should be, the choice of precision, and loading in 8 bits."""

import json
import logging

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra 'vlm' is not installed")

import tokenizers  # noqa: E402
import transformers  # noqa: E402
from transformers import DynamicCache  # noqa: E402

from backends.base import GenerationRequest  # noqa: E402
from backends.vlm import checkpoint, quantize  # noqa: E402
from backends.vlm.internvl import InternVL  # noqa: E402
from backends.vlm.llama_vision import LlamaVision  # noqa: E402
from backends.vlm.loading import LoadSettings, empty_model, load_internvl, load_llama_vision  # noqa: E402
from benchmarks import vlm_shapes  # noqa: E402
from benchmarks.checkpoints import variants  # noqa: E402
from benchmarks.checkpoints.weights import INDEX  # noqa: E402
from router.errors import BackendError, BackendUnavailableError  # noqa: E402

CPU = torch.device("cpu")
LOADERS = {"internvl": load_internvl, "mllama": load_llama_vision}


@pytest.fixture(params=LOADERS)
def model_type(request):
    return request.param


@pytest.fixture
def folder(model_type, tiny_internvl, tiny_llama_vision):
    return {"internvl": tiny_internvl, "mllama": tiny_llama_vision}[model_type]


@pytest.fixture
def copied(folder, tmp_path):
    """A copy of a checkpoint to damage."""
    return variants.copy_of(folder, tmp_path / "checkpoint")


def load(model_type, folder, **settings):
    return LOADERS[model_type](LoadSettings(str(folder), device="cpu", **settings))


def prefilled(family, page=None):
    """The logits of one small request."""
    page = torch.arange(90 * 60 * 3, dtype=torch.uint8).reshape(60, 90, 3).numpy() if page is None else page
    batch = family.collate([family.prepare(GenerationRequest("total_amount (amount): the total", (page,), 16))])
    with torch.inference_mode():
        return family.prefill(batch, DynamicCache(config=family.text_model.config)).float()


def config_of(folder):
    """The configuration without a type of its own, for models that are not loaded but made."""
    config = transformers.AutoConfig.from_pretrained(folder)
    config.tie_word_embeddings = False
    for part in (config, config.text_config, config.vision_config):
        part.dtype = None
    return config


def test_a_checkpoint_loads_with_its_identity(model_type, folder):
    loaded = load(model_type, folder)
    assert isinstance(loaded.family, InternVL if model_type == "internvl" else LlamaVision)
    assert loaded.precision == "fp32"
    assert not loaded.offloaded
    assert loaded.identity.id == folder.name
    assert len(loaded.identity.weights_hash) == 16
    assert prefilled(loaded.family).isfinite().all()


def test_another_checkpoint_has_another_weights_hash(copied, folder):
    before = checkpoint.identify("a", None, folder).weights_hash
    assert checkpoint.identify("a", None, copied).weights_hash == before
    last = variants.weights_of(copied)[-1]
    variants.replace(last, last.read_bytes()[:-100] + bytes(100))
    assert checkpoint.identify("a", None, copied).weights_hash != before


def test_a_snapshot_is_named_by_its_hub_id_and_commit(folder, tmp_path):
    snapshot = variants.copy_of(folder, tmp_path / "snapshots" / "0123abc")
    identity = checkpoint.identify("OpenGVLab/InternVL3-2B-hf", "main", snapshot)
    assert (identity.id, identity.revision) == ("OpenGVLab/InternVL3-2B-hf", "0123abc")


@pytest.mark.parametrize(("revision", "warned"), [(None, True), ("0123abc", False)])
def test_a_snapshot_that_is_not_pinned_is_told(tiny_internvl, tmp_path, caplog, revision, warned):
    snapshot = variants.copy_of(tiny_internvl, tmp_path / "snapshots" / "0123abc")
    load("internvl", snapshot, revision=revision)
    assert ("is not pinned; this machine has revision 0123abc" in caplog.text) == warned


def test_a_missing_folder_says_what_to_give(model_type, tmp_path):
    with pytest.raises(BackendUnavailableError, match=r"no checkpoint folder .*config\.json"):
        load(model_type, tmp_path / "nothing" / "here" / "at-all")


GONE = ("config.json", "tokenizer.json", "tokenizer_config.json", "preprocessor_config.json")


@pytest.mark.parametrize("gone", [*GONE, "weights"])
def test_a_half_copied_folder_is_told_before_weights_are_read(model_type, copied, gone):
    for path in [*variants.weights_of(copied), copied / INDEX] if gone == "weights" else [copied / gone]:
        path.unlink(missing_ok=True)
    with pytest.raises(BackendError, match="half-copied"):
        load(model_type, copied)


@pytest.mark.parametrize("kept", [0.5, 0.001, 0.0])
def test_cut_off_weights_are_told(model_type, copied, kept):
    variants.cut_off(variants.weights_of(copied)[-1], kept)
    with pytest.raises(BackendError, match="copy it again"):
        load(model_type, copied)


def test_a_missing_shard_is_told(tiny_llama_vision, tmp_path):
    copied = variants.copy_of(tiny_llama_vision, tmp_path / "checkpoint")
    variants.weights_of(copied)[3].unlink()
    with pytest.raises(BackendError, match=r"half-copied: 1 of 5 files .*\(model-00004-of-00005.safetensors is one\)"):
        load("mllama", copied)


def test_another_architecture_is_refused(tiny_internvl, tiny_llama_vision):
    with pytest.raises(BackendError, match="type 'mllama', not 'internvl'"):
        load("internvl", tiny_llama_vision)
    with pytest.raises(BackendError, match="type 'internvl', not 'mllama'"):
        load("mllama", tiny_internvl)


@pytest.mark.parametrize("damage", ["config.json", "preprocessor_config.json", "tokenizer.json"])
def test_a_damaged_file_is_told(model_type, copied, damage):
    variants.replace(copied / damage, '{"model_type": ')
    with pytest.raises(BackendError, match=r"copy (it|the checkpoint) again"):
        load(model_type, copied)


def test_weights_that_lack_a_matrix_are_no_checkpoint(model_type, copied):
    from safetensors.torch import load_file, save_file

    last = variants.weights_of(copied)[-1]
    weights = load_file(last)
    weights.pop(next(name for name in weights if name.endswith("fc2.weight")))
    last.unlink()
    save_file(weights, last, metadata={"format": "pt"})
    with pytest.raises(BackendError, match="1 weights are missing"):
        load(model_type, copied)


def test_a_processor_of_another_tile_size_is_refused(model_type, copied):
    variants.change(copied / "preprocessor_config.json", size={"height": 112, "width": 112})
    with pytest.raises(BackendError, match="does not match its model: size of a tile 112 instead of 56"):
        load(model_type, copied)


def test_what_a_tokenizer_has_beyond_the_rows_is_no_fault_where_nothing_asks_for_it(model_type, copied):
    path = copied / "tokenizer.json"
    tokenizer = tokenizers.Tokenizer.from_file(str(path))
    tokenizer.add_special_tokens([f"<new{i}>" for i in range(20)])
    variants.replace(path, tokenizer.to_str())
    loaded = load(model_type, copied)
    rows = loaded.family.text_model.embed_tokens.weight.shape[0]
    assert len(loaded.family.tokenizer) > rows
    asked = GenerationRequest("<new19> total", (np.zeros((60, 90, 3), np.uint8),), 4)
    assert int(loaded.family.prepare(asked).input_ids.max()) < rows


def test_a_model_with_fewer_rows_than_its_text_has_ids_is_refused(model_type, copied):
    """The configuration agrees with the weights, but neither with the vocabulary."""
    from safetensors.torch import load_file, save_file

    rows, extra = 120_000, checkpoint.EXTRA_ROWS[model_type]
    for path in variants.weights_of(copied):
        weights = load_file(path)
        for name, kept in (("embed_tokens.weight", rows + extra), ("lm_head.weight", rows)):
            weights |= {full: matrix[:kept].clone() for full, matrix in weights.items() if full.endswith(name)}
        path.unlink()
        save_file(weights, path, metadata={"format": "pt"})
    config = json.loads((copied / "config.json").read_text())
    variants.change(copied / "config.json", text_config=config["text_config"] | {"vocab_size": rows})
    with pytest.raises(BackendError, match=rf"token 1\d+ \(.*\) for {rows + extra} embeddings"):
        load(model_type, copied)


def test_an_output_layer_of_its_own_stays_its_own(model_type, folder, caplog):
    """InternVL3's configuration does not say whether it is tied, and transformers would take it for tied."""
    model = load(model_type, folder).family.model
    assert model.lm_head.weight.data_ptr() != model.get_input_embeddings().weight.data_ptr()
    assert not torch.equal(model.lm_head.weight[:1000], model.get_input_embeddings().weight[:1000])
    assert "tied" not in caplog.text


@pytest.mark.parametrize("settings", [{"precision": "int3"}, {"precision": "bf8"}])
def test_an_unknown_precision_is_told(tiny_internvl, settings):
    with pytest.raises(BackendError, match="unknown precision"):
        LoadSettings(str(tiny_internvl), **settings)


@pytest.mark.parametrize("device", ["gpu", "meta", "cuda:first"])
def test_an_unknown_device_is_told(tiny_internvl, device):
    with pytest.raises(BackendError, match=f"unknown device '{device}'; there are auto, cpu"):
        load_internvl(LoadSettings(str(tiny_internvl), device=device))


def test_weights_of_other_sizes_than_the_configuration_s_are_told(tiny_internvl, tmp_path):
    copied = variants.copy_of(tiny_internvl, tmp_path / "checkpoint")
    vision = json.loads((copied / "config.json").read_text())["vision_config"]
    variants.change(copied / "config.json", vision_config=vision | {"hidden_size": 64})
    with pytest.raises(BackendError, match=r"other sizes than its config\.json says; copy it again"):
        load("internvl", copied)


@pytest.mark.skipif(torch.cuda.is_available(), reason="says what happens without a GPU")
def test_a_gpu_that_is_not_there_is_told(tiny_internvl):
    with pytest.raises(BackendUnavailableError, match="0 GPUs"):
        load_internvl(LoadSettings(str(tiny_internvl), device="cuda:1"))


@pytest.mark.parametrize("precision", ["int8", "nf4"])
def test_quantised_weights_leave_vision_and_output_layer_whole(model_type, folder, precision):
    loaded = load(model_type, folder, precision=precision)
    kept = quantize.KEPT_WHOLE[model_type]
    quantised = [name for name, module in loaded.family.model.named_modules() if quantize._is_quantised(module)]
    assert quantised
    assert not [name for name in quantised if name.startswith(kept)]
    assert loaded.family.dtype == torch.bfloat16
    whole = prefilled(load(model_type, folder).family)
    assert torch.cosine_similarity(prefilled(loaded.family), whole).item() > (0.98 if precision == "int8" else 0.8)


def test_the_cast_of_every_8_bit_product_is_not_told_but_anything_else_is(caplog):
    for _ in range(2):
        quantize.bitsandbytes_config("int8", ())
    logger = logging.getLogger("bitsandbytes.autograd._functions")
    logger.warning("MatMul8bitLt: inputs will be cast from %s to float16 during quantization", torch.bfloat16)
    logger.warning("something else")
    assert [record.getMessage() for record in caplog.records if record.name == logger.name] == ["something else"]
    assert len(logger.filters) == 1


def test_a_list_of_exceptions_that_matches_nothing_is_found(model_type, folder):
    family = load(model_type, folder).family
    quantize.quantise(family.model, "int8", ("vision_tower_of_an_older_version",))
    with pytest.raises(BackendError, match="must not be"):
        quantize.check_quantised(family.model, "int8", quantize.KEPT_WHOLE[model_type])


def test_the_finest_precision_that_fits_is_chosen():
    needs = quantize.Footprint({"fp32": 400, "bf16": 200, "int8": 110, "nf4": 60}, slot_bytes=5, workspace_bytes=10)
    assert [quantize.choose(needs, free) for free in (1000, 250, 249, 125, 124, 75, 74)] == [
        "bf16", "bf16", "int8", "int8", "nf4", "nf4", None,
    ]  # fmt: skip


def test_bytes_of_weights_are_those_of_the_loaded_model(model_type, folder):
    empty = empty_model(folder)
    kept = quantize.KEPT_WHOLE[model_type]
    for precision in ("bf16", "int8"):
        model = load(model_type, folder, precision=precision).family.model
        scales = sum(m.weight.SCB.nbytes for m in model.modules() if type(m).__name__ == "Linear8bitLt")
        held = sum(weight.nbytes for weight in model.parameters()) + scales
        assert quantize.weight_bytes(empty, precision, kept) == held


def test_the_real_shapes_have_the_real_number_of_weights():
    counts = {name: sum(w.numel() for w in vlm_shapes.empty(name).parameters()) for name in vlm_shapes.SHAPES}
    assert counts["internvl3-2b"] == pytest.approx(2.09e9, rel=0.01)
    assert counts["llama-3.2-11b-vision"] == pytest.approx(10.67e9, rel=0.01)


def test_the_table_says_what_each_card_holds():
    lines = vlm_shapes.table()
    assert len(lines) == 2 + 2 * len(vlm_shapes.CARDS_MIB)
    [card] = [line for line in lines if "llama" in line and "16 GB" in line]
    assert "| int8 |" in card


@pytest.mark.parametrize("precision", ["fp32", "int8", "nf4"])
def test_random_weights_of_a_shape_can_be_prefilled(model_type, folder, precision):
    name = {"internvl": "internvl3-2b", "mllama": "llama-3.2-11b-vision"}[model_type]
    model = vlm_shapes.random_weights(name, CPU, precision, config_of(folder))
    family = LlamaVision if model_type == "mllama" else InternVL
    logits = prefilled(family.of(model, transformers.AutoProcessor.from_pretrained(folder)))
    assert logits.isfinite().all()
    assert logits.std() > 0.1
