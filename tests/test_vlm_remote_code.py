"""The original InternVL checkpoints run code of their own. A stand-in with the same interface is loaded here: a tiny
checkpoint whose code wraps transformers' modules under the original names."""

import logging
import shutil

import pytest

torch = pytest.importorskip("torch", reason="the extra 'vlm' is not installed")

import transformers  # noqa: E402
from test_vlm_loading import prefilled  # noqa: E402

from backends.vlm.loading import LoadSettings, load_internvl  # noqa: E402
from router.errors import BackendError  # noqa: E402

CODE = """
import torch
from transformers import PretrainedConfig, PreTrainedModel, InternVLConfig, InternVLForConditionalGeneration


class InternVLChatConfig(PretrainedConfig):
    model_type = "internvl_chat"

    def __init__(self, native=None, force_image_size=56, **more):
        self.native, self.force_image_size = native, force_image_size
        super().__init__(**more)


class InternVLChatModel(PreTrainedModel):
    config_class = InternVLChatConfig
    base_model_prefix = "none"

    def __init__(self, config):
        super().__init__(config)
        native = InternVLForConditionalGeneration(InternVLConfig(**config.native))
        self.num_image_token = config.native["image_seq_length"]
        self.vision_model = native.model.vision_tower
        self.mlp1 = native.model.multi_modal_projector
        self.language_model = torch.nn.Module()
        self.language_model.model, self.language_model.lm_head = native.model.language_model, native.lm_head
        self.language_model.generation_config = native.generation_config
        self._shuffle = native.model.pixel_shuffle
        self.post_init()

    def extract_feature(self, pixel_values):
        patches = self.vision_model(pixel_values=pixel_values).last_hidden_state[:, 1:]
        side = int(patches.shape[1] ** 0.5)
        return self.mlp1(self._shuffle(patches.unflatten(1, (side, side)), 0.5).flatten(1, 2))
"""


@pytest.fixture(scope="module")
def original(tiny_internvl, tmp_path_factory):
    """The folder of a checkpoint that needs remote code, with the weights of the tiny native one."""
    folder = tmp_path_factory.mktemp("original")
    native = transformers.AutoModelForImageTextToText.from_pretrained(tiny_internvl, dtype=torch.float32)
    native.config.tie_word_embeddings = False  # the folder does not say so, and its weights are not
    for path in tiny_internvl.glob("tokenizer*"):
        shutil.copy(path, folder)
    (folder / "modeling_internvl_chat.py").write_text(CODE)
    space = {"__name__": "modeling_internvl_chat"}
    exec(CODE, space)
    config = space["InternVLChatConfig"](native=native.config.to_dict())
    config.auto_map = {name: f"modeling_internvl_chat.InternVLChat{kind}" for name, kind in MAP.items()}
    model = space["InternVLChatModel"](config)
    parts = ((model.vision_model, native.model.vision_tower), (model.mlp1, native.model.multi_modal_projector))
    for mine, theirs in (*parts, (model.language_model.model, native.model.language_model)):
        mine.load_state_dict(theirs.state_dict())
    model.language_model.lm_head.load_state_dict(native.lm_head.state_dict())
    model.save_pretrained(folder)
    return folder


MAP = {"AutoConfig": "Config", "AutoModel": "Model"}


@pytest.fixture(autouse=True)
def code_cache(monkeypatch, tmp_path):
    """transformers copies a checkpoint's code to where it can import it: not into the home directory here."""
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path))
    monkeypatch.syspath_prepend(str(tmp_path))


def test_the_code_of_a_checkpoint_runs_only_when_it_is_allowed(original):
    with pytest.raises(BackendError, match=r"code of its own.*-hf.*remote_code"):
        load_internvl(LoadSettings(str(original), device="cpu"))


def test_an_original_checkpoint_reads_as_the_native_one_does_and_warns(original, tiny_internvl, caplog):
    with caplog.at_level(logging.WARNING):
        loaded = load_internvl(LoadSettings(str(original), device="cpu", remote_code=True))
    assert "running the code" in caplog.text
    native = load_internvl(LoadSettings(str(tiny_internvl), device="cpu"))
    assert torch.allclose(prefilled(loaded.family), prefilled(native.family), atol=1e-4)


def test_an_original_checkpoint_is_not_quantised(original):
    with pytest.raises(BackendError, match="cannot be held as int8"):
        load_internvl(LoadSettings(str(original), device="cpu", remote_code=True, precision="int8"))


def test_code_that_does_not_run_is_told(original, tmp_path):
    copy = tmp_path / "broken"
    shutil.copytree(original, copy)
    (copy / "modeling_internvl_chat.py").write_text("raise ImportError('written for transformers 4')\n")
    with pytest.raises(BackendError, match="does not run with the installed transformers"):
        load_internvl(LoadSettings(str(copy), device="cpu", remote_code=True))
