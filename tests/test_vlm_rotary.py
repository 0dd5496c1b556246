"""Rotary positions without a host read, against transformers' own modules."""

import copy
import dataclasses

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra 'vlm' is not installed")

import transformers  # noqa: E402
from host_reads import HostReads  # noqa: E402
from transformers.models.mllama.modeling_mllama import MllamaRotaryEmbedding  # noqa: E402
from transformers.models.qwen2.modeling_qwen2 import Qwen2RotaryEmbedding  # noqa: E402
from vlm_rotary_world import KNOWN, REAL_LENGTH, family_of  # noqa: E402

from backends.base import GenerationRequest  # noqa: E402
from backends.vlm.decoder import SlotDecoder  # noqa: E402
from backends.vlm.engine import Engine  # noqa: E402
from backends.vlm.engine_settings import EngineSettings  # noqa: E402
from backends.vlm.fused_prefill import fuse  # noqa: E402
from backends.vlm.kernels import TorchKernels  # noqa: E402
from backends.vlm.rotary import FixedRotary, fix_rotary  # noqa: E402
from backends.vlm.sampling import GREEDY, Sampling  # noqa: E402
from backends.vlm.slots import NewAnswer  # noqa: E402
from router.errors import BackendError  # noqa: E402

FAMILIES = ["tiny_internvl", "tiny_llama_vision"]
SMALL = EngineSettings(slots=3, slot_tokens=512, answer_tokens=64, patience_s=0.0, on_death=lambda cause: None)
POSITIONS = torch.tensor([[0, 1, 2, 3, 511, 512, 4095, 8191, 8192, 16_383, 20_000, 32_766, 32_767]])


@pytest.fixture(params=KNOWN)
def rope(request):
    return request.param


@pytest.fixture(params=FAMILIES)
def folder(request):
    return request.getfixturevalue(request.param)


def text_config(kind, rope, **more):
    configs = {
        "qwen2": transformers.Qwen2Config,
        "mllama": transformers.models.mllama.configuration_mllama.MllamaTextConfig,
    }
    shape = {"hidden_size": 1536, "num_attention_heads": 12, "max_position_embeddings": REAL_LENGTH, "pad_token_id": 0}
    return configs[kind](**shape, rope_parameters=KNOWN[rope], **more)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize(
    ("kind", "module"), [("qwen2", Qwen2RotaryEmbedding), ("mllama", MllamaRotaryEmbedding)], ids=["qwen2", "mllama"]
)
def test_cosine_and_sine_equal_those_of_transformers_bit_for_bit(kind, module, rope, dtype):
    theirs = module(text_config(kind, rope))
    ours, x = FixedRotary(copy.deepcopy(theirs)), torch.zeros(1, 1, 8, dtype=dtype)
    every_one = torch.arange(REAL_LENGTH)[None]
    for positions in (POSITIONS, POSITIONS.T, every_one):
        for got, wanted in zip(ours(x, positions), theirs(x, positions), strict=True):
            assert got.dtype == dtype
            assert torch.equal(got, wanted)


def test_the_old_names_of_the_settings_give_the_same_positions():
    old = transformers.Qwen2Config(
        hidden_size=1536, num_attention_heads=12, max_position_embeddings=REAL_LENGTH, rope_theta=1e6,
        rope_scaling={"type": "dynamic", "factor": 2.0},
    )  # fmt: skip
    x, theirs = torch.zeros(1), Qwen2RotaryEmbedding(text_config("qwen2", "dynamic"))
    ours = FixedRotary(Qwen2RotaryEmbedding(old))
    for got, wanted in zip(ours(x, POSITIONS), theirs(x, POSITIONS), strict=True):
        assert torch.equal(got, wanted)


def test_frequencies_go_where_the_model_goes():
    model = transformers.Qwen2Model(text_config("qwen2", "llama3", num_hidden_layers=0, vocab_size=8))
    fix_rotary(model, 512)
    assert model.to("meta").rotary_emb.inv_freq.is_meta
    assert "rotary_emb.inv_freq" not in model.state_dict()


def asked(family):
    rng = np.random.default_rng(0)
    pages = [rng.integers(0, 256, (60 * (i + 1), 90, 3), dtype=np.uint8) for i in range(2)]
    requests = [GenerationRequest("Total" * (4 * i + 1), (page,), 8) for i, page in enumerate(pages)]
    return [family.prepare(request) for request in requests]


@torch.inference_mode()
def reads_of_a_prefill_and_of_a_step(family, sampling=GREEDY):
    """Return what a prefill and then a decode step of the engine read on the host."""
    items = asked(family)
    batch = family.collate(items)
    decoder = SlotDecoder(family, SMALL, SMALL.slots, TorchKernels())
    with HostReads() as of_prefill:
        family.prefill(batch, decoder.cache.prefill_into(torch.arange(len(items))))
    decoder.activate(decoder.prefill([0, 1], items, [NewAnswer(item.prompt_tokens, 8, sampling) for item in items]))
    with HostReads() as of_step:
        decoder.run(2, decoder.length, not sampling.greedy, 1)
    return of_prefill.names, of_step.names


@pytest.mark.parametrize("fused", [False, True], ids=["as transformers does", "fused"])
@pytest.mark.parametrize("sampling", [GREEDY, Sampling(1.0, 0.9, seed=1)], ids=["greedy", "random"])
def test_neither_a_prefill_nor_a_step_reads_the_device(folder, rope, fused, sampling):
    family = family_of(folder, rope)
    fix_rotary(family.text_model, SMALL.slot_tokens)
    if fused:
        with torch.inference_mode():
            fuse(family.model, family.text_model, TorchKernels())
    assert reads_of_a_prefill_and_of_a_step(family, sampling) == ([], [])


def test_the_count_finds_the_read_of_transformers_own_module(folder):
    read = "aten.is_nonzero.default"  # by `if`, twice a call
    assert reads_of_a_prefill_and_of_a_step(family_of(folder, "dynamic")) == ([read] * 2, [read] * 2)


def test_an_engine_reads_with_every_rotary_type_what_generate_reads(folder, rope):
    family, theirs = family_of(folder, rope), family_of(folder, rope).model
    items = asked(family)
    with Engine(family, SMALL).start() as engine:
        answers = [engine.submit(item, 12).result(60).tokens for item in items]
    assert isinstance(family.text_model.rotary_emb, FixedRotary)
    for item, answer in zip(items, answers, strict=True):
        inputs = {name: tensor for name, tensor in family.collate([item]).inputs.items() if name != "image_places"}
        with torch.inference_mode():
            out = theirs.generate(
                **inputs, attention_mask=torch.ones_like(inputs["input_ids"]), max_new_tokens=12, do_sample=False,
                eos_token_id=list(family.eos_ids),
            )  # fmt: skip
        assert answer == out[0, item.prompt_tokens :].tolist()


def test_a_slot_longer_than_the_positions_that_are_known_is_refused_at_the_start(folder, rope):
    family = family_of(folder, rope, known=512)
    Engine(family, SMALL).start().close()
    with pytest.raises(BackendError, match=r"slots of 513 positions.* knows 512.*set slot_tokens to 512"):
        Engine(family, dataclasses.replace(SMALL, slot_tokens=513)).start()


def test_an_unknown_rotary_type_is_refused_at_the_start(folder):
    family = family_of(folder, "yarn")
    with pytest.raises(BackendError, match="'yarn' are not known; known are default, dynamic, llama3"):
        Engine(family, SMALL).start()
