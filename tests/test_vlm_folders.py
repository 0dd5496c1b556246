"""Folders that cannot be used: one line that says what is wrong and what helps, when the lane is made."""

import json
import logging
import re

import pytest

pytest.importorskip("torch", reason="the extra 'vlm' is not installed")

from service_work import command_line

from backends import registry
from backends.vlm.loading import LoadSettings, load_internvl, load_llama_vision
from benchmarks.checkpoints import templates, variants
from benchmarks.checkpoints.weights import INDEX
from router.errors import BackendError
from workers.settings import load_settings

LANES = {"internvl3": "OpenGVLab/InternVL3-2B-hf", "llama-vision": "meta-llama/Llama-3.2-11B-Vision-Instruct"}
EARLY = "before revision cb57a075: it lacks <video>, or writes <image> for a picture"


@pytest.fixture
def folders(tiny_internvl, tiny_llama_vision):
    return {"internvl3": tiny_internvl, "llama-vision": tiny_llama_vision}


def other(lane):
    return next(name for name in LANES if name != lane)


def in_copy(change):
    """A case that changes a copy of the lane's folder in place."""

    def make(folders, lane, to):
        copy = variants.copy_of(folders[lane], to)
        change(copy)
        return copy

    return make


def template(text):
    return in_copy(lambda copy: variants.set_template(copy, text))


def stops(*ids):
    return in_copy(lambda copy: variants.change(copy / "generation_config.json", eos_token_id=list(ids)))


def written(name, content):
    return in_copy(lambda copy: variants.replace(copy / name, content))


def without(*names):
    return in_copy(lambda copy: [(copy / name).unlink(missing_ok=True) for name in names])


def text(**values):
    def change_text(copy):
        own = json.loads((copy / "config.json").read_text())["text_config"]
        variants.change(copy / "config.json", text_config=own | values)

    return in_copy(change_text)


CASES = {
    "snapshot without <video>": ("internvl3", lambda f, lane, to: variants.early_snapshot(f[lane], to), EARLY),
    "template with <image>": ("internvl3", template(templates.INTERNVL3_EARLY), EARLY),
    "blind template": ("internvl3", template(templates.INTERNVL3_BLIND), "writes 0 places for one picture"),
    "blind template, llama": (
        "llama-vision",
        template(templates.LLAMA_VISION_BLIND),
        "writes 0 places for one picture",
    ),
    "two pictures": (
        "llama-vision",
        template(templates.LLAMA_VISION.replace("<|image|>", "<|image|><|image|>")),
        "writes 2 places for one picture",
    ),
    "no beginning": (
        "llama-vision",
        template(templates.LLAMA_VISION.replace("bos_token", "''")),
        r"writes <\|begin_of_text\|> 0 times",
    ),
    "no question": (
        "internvl3",
        template(templates.INTERNVL3.replace("part.text", "''")),
        "template leaves out the question",
    ),
    "broken template": ("internvl3", template("{% for x"), r"template cannot be filled in \("),
    "no template": ("internvl3", template(None), "no chat template"),
    "no template, llama": ("llama-vision", template(None), "no chat template"),
    "tokenizer of the other": (
        "internvl3",
        lambda f, lane, to: variants.with_tokenizer_of(f[lane], f[other(lane)], to),
        "its tokenizer is another model's, without start_image_token",
    ),
    "tokenizer of the other, llama": (
        "llama-vision",
        lambda f, lane, to: variants.with_tokenizer_of(f[lane], f[other(lane)], to),
        "its tokenizer is another model's, of a InternVLProcessor",
    ),
    "vocabulary of the other": (
        "internvl3",
        lambda f, lane, to: variants.with_vocabulary_of(f[lane], f[other(lane)], to),
        r"image token 128\d+ instead of 151667 \(another model's vocabulary\)",
    ),
    "vocabulary of the other, llama": (
        "llama-vision",
        lambda f, lane, to: variants.with_vocabulary_of(f[lane], f[other(lane)], to),
        "image token None instead of 128256",
    ),
    "fewer entries than ids": (
        "llama-vision",
        lambda f, lane, to: variants.without_picture_token(f[lane], to),
        "image token None instead of 128256",
    ),
    "text part under another name": (
        "internvl3",
        lambda f, lane, to: variants.text_part_elsewhere(f[lane], to),
        "its text part stands under 'llm_config'",
    ),
    "text part among other fields": (
        "llama-vision",
        lambda f, lane, to: variants.text_part_elsewhere(f[lane], to, None),
        "no text_config, its text part stands among its own fields",
    ),
    "no vision part": (
        "internvl3",
        in_copy(lambda copy: variants.change(copy / "config.json", vision_config=None)),
        "has no vision_config",
    ),
    "another size": ("internvl3", text(hidden_size=3584), "embed_tokens.weight is 151674 x 64, not 151674 x 3584"),
    "more layers": ("internvl3", text(num_hidden_layers=28), "its config.json: 2 layers of text, not 28"),
    "fewer layers": ("llama-vision", text(num_hidden_layers=4), "its config.json: 5 layers of text, not 4"),
    "stops at a full stop": ("internvl3", stops(13), r"ends answers at 13 \('\.'\).*<\|im_end\|> is 151645"),
    "stops at a number of another model": ("llama-vision", stops(128_001, 2), r"ends answers at 2 \('#'\)"),
    "stops at no token": ("internvl3", stops(200_000), r"ends answers at 200000 \(no token\)"),
    "missing shard": (
        "llama-vision",
        in_copy(lambda copy: variants.weights_of(copy)[2].unlink()),
        "half-copied: 1 of 5 files of weights",
    ),
    "cut-off shard": (
        "llama-vision",
        in_copy(lambda copy: variants.cut_off(variants.weights_of(copy)[1], 0.5)),
        "half-copied: .* bytes of",
    ),
    "no weights": ("internvl3", without("model.safetensors", INDEX), "has no weights"),
    "no tokenizer": ("internvl3", without("tokenizer.json"), "there is no tokenizer.json"),
    "no rules for pictures": ("internvl3", without("preprocessor_config.json"), "there is no preprocessor_config.json"),
    "rules without a size": (
        "internvl3",
        in_copy(lambda copy: variants.change(copy / "preprocessor_config.json", size={"shortest_edge": 56})),
        "size of a tile None instead of 56",
    ),
    "sizes that are none": (
        "llama-vision",
        in_copy(lambda copy: variants.change(copy / "config.json", vision_config={"image_size": "large"})),
        "image_size",
    ),
    "empty folder": ("internvl3", lambda f, lane, to: (to.mkdir(), to)[1], "has no readable config.json: it is half"),
    "a folder for a file": (
        "internvl3",
        in_copy(lambda copy: ((copy / "config.json").unlink(), (copy / "config.json").mkdir())),
        r"no readable config\.json \(Is a directory\)",
    ),
    "files that link to themselves": (
        "llama-vision",
        in_copy(lambda copy: ((copy / "config.json").unlink(), (copy / "config.json").symlink_to("config.json"))),
        "no readable config.json .*symbolic links",
    ),
    "nested without end": ("internvl3", written("config.json", "[" * 200_000), "config.json is damaged"),
    "a pointer to a large file": ("internvl3", written("config.json", "version https://git-lfs"), "json is damaged"),
    "damaged stop tokens": ("internvl3", written("generation_config.json", "{"), "generation_config.json is damaged"),
    "damaged settings": ("llama-vision", written("tokenizer_config.json", "[]"), "damaged .it holds no object"),
    "index of no weights": ("llama-vision", written(INDEX, '{"weight_map": ["a"]}'), "half-copied"),
    "index of numbers": ("llama-vision", written(INDEX, '{"weight_map": {"a": 3}}'), r"half-copied: .* \(3 is one\)"),
    "damaged tokenizer": (
        "llama-vision",
        in_copy(lambda copy: variants.replace(copy / "tokenizer.json", '{"model": 3}')),
        "the processor of .* cannot be loaded",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_folder_that_cannot_be_used_is_told_on_one_line_with_what_helps(case, folders, tmp_path):
    lane, make, said = CASES[case]
    folder = make(folders, lane, tmp_path / "checkpoint")
    with pytest.raises(BackendError, match=said) as told:
        registry.create(lane, {"checkpoint": str(folder)})
    line = str(told.value)
    assert "\n" not in line
    assert str(folder) in line
    assert f'`hf download {LANES[lane]} --exclude "original/*" --local-dir {folder}`' in line


@pytest.mark.parametrize("kind", ["yarn", "linear"])
@pytest.mark.parametrize("lane", LANES)
def test_rotary_positions_that_no_engine_here_has_are_told_when_the_lane_is_made(kind, lane, folders, tmp_path):
    scaling = {"rope_type": kind, "factor": 4.0, "original_max_position_embeddings": 8192}
    folder = text(rope_scaling=scaling)(folders, lane, tmp_path / "checkpoint")
    with pytest.raises(BackendError, match=rf"{folder} .*of the type '{kind}' are not known; .*--local-dir {folder}`"):
        registry.create(lane, {"checkpoint": str(folder)})


@pytest.mark.parametrize(("lane", "known"), [("internvl3", 32_768), ("llama-vision", 131_072)])
def test_slots_longer_than_a_checkpoint_s_positions_are_told_when_the_lane_is_made(lane, known, folders):
    registry.create(lane, {"checkpoint": str(folders[lane]), "slot_tokens": known})
    with pytest.raises(BackendError, match=f"slots of {known + 1} positions.*set slot_tokens to {known}"):
        registry.create(lane, {"checkpoint": str(folders[lane]), "slot_tokens": known + 1})


@pytest.mark.parametrize("value", ["many", 1.5])
@pytest.mark.parametrize("option", ["slots", "slot_tokens", "max_tiles"])
def test_an_option_that_is_no_whole_number_is_told_with_its_name(option, value, folders):
    with pytest.raises(BackendError, match=f"{option} must be a whole number, not {value!r}"):
        registry.create("internvl3", {"checkpoint": str(folders["internvl3"]), option: value})


@pytest.mark.parametrize("lane", LANES)
def test_a_folder_as_published_makes_a_lane_without_a_weight(lane, folders, caplog):
    with caplog.at_level(logging.WARNING):
        made = registry.create(lane, {"checkpoint": str(folders[lane])})
    assert not made.model.facts().loaded
    assert caplog.records == []


def test_the_command_for_a_snapshot_in_the_cache_names_its_hub_id(tiny_internvl, tmp_path):
    place = tmp_path / "models--someone--InternVL3-2B-hf" / "snapshots"
    early = variants.early_snapshot(tiny_internvl, place / "0123abc")
    with pytest.raises(BackendError, match=r'`hf download someone/InternVL3-2B-hf --exclude "original/\*"` fetches'):
        registry.create("internvl3", {"checkpoint": str(early)})
    half = variants.copy_of(tiny_internvl, place / "4567def")
    (half / "tokenizer.json").unlink()
    with pytest.raises(BackendError, match=r"run `hf download someone/InternVL3-2B-hf --revision 4567def --exclude"):
        registry.create("internvl3", {"checkpoint": str(half)})


def test_what_docroute_backends_calls_ready_loads_and_what_is_not_has_its_advice(
    folders, tmp_path, monkeypatch, capsys
):
    docroute = command_line(load_settings({}, tmp_path), tmp_path, monkeypatch, capsys)
    monkeypatch.setenv("COLUMNS", "400")
    early = variants.early_snapshot(folders["internvl3"], tmp_path / "early")
    option = "DOCROUTE_LANES__OPTIONS__{}__CHECKPOINT"
    monkeypatch.setenv(option.format("LLAMA_VISION"), str(folders["llama-vision"]))
    told = {}
    nowhere = tmp_path / "nowhere"
    for folder in (folders["internvl3"], early, nowhere):
        monkeypatch.setenv(option.format("INTERNVL3"), str(folder))
        code, out, _ = docroute("backends")
        assert code == 0
        lines = {line.split()[0]: line for line in out.splitlines() if line.strip()}
        assert re.search(rf"ready .* {folders['llama-vision'].name} \w{{16}}", lines["llama-vision"])
        told[folder] = lines["internvl3"]
    assert re.search(rf"ready .* {folders['internvl3'].name} \w{{16}}", told[folders["internvl3"]])
    assert " not usable " in told[early]
    assert " not installed " in told[nowhere]
    assert "cb57a075" in told[early]
    assert "`hf download OpenGVLab/InternVL3-2B-hf" in told[early]
    for lane, load in (("internvl3", load_internvl), ("llama-vision", load_llama_vision)):
        assert load(LoadSettings(str(folders[lane]), device="cpu")).precision == "fp32"
