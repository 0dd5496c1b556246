"""The folders laid out like the published checkpoints: files, ids, names of weights, and the vocabularies' tokens."""

import json
import random
import unicodedata
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="the extra 'vlm' is not installed")

import tiktoken
import transformers
from safetensors import safe_open

from benchmarks.checkpoints import special_tokens, variants, vocabularies
from router.schema import builtin, builtin_names

ROOT = Path(__file__).parents[1]
INTERNVL_FILES = {
    *("added_tokens.json", "chat_template.jinja", "config.json", "generation_config.json", "merges.txt"),
    *("model.safetensors", "preprocessor_config.json", "processor_config.json", "special_tokens_map.json"),
    *("tokenizer.json", "tokenizer_config.json", "vocab.json"),
}
LLAMA_FILES = {
    *("LICENSE.txt", "USE_POLICY.md", "chat_template.json", "config.json", "generation_config.json", "original"),
    *(f"model-0000{i}-of-00005.safetensors" for i in range(1, 6)),
    *("model.safetensors.index.json", "preprocessor_config.json", "special_tokens_map.json", "tokenizer.json"),
    "tokenizer_config.json",
}
SPOKEN = (
    "Größe 日本語 🧾 é e\u0301 ١٢٣ 12345.67 I'LL don't\r\n\r\n  x\t\ty   ",
    "total_amount: 1,234.50 | ABN 51 824 753 556 \n- 03/02/2024\n\n\n   ",
    "a\u00a0b\u200b…—€£¥½ ",
    "",
)


def texts():
    """Prose, code, figures, schemas and letters drawn at random, the same in every run."""
    yield from SPOKEN
    for path in (*ROOT.glob("*.md"), *ROOT.glob("backends/*.py"), *ROOT.glob("samples/*.json")):
        yield path.read_text()
    for name in builtin_names():
        yield "\n".join(f"{field.name}: {field.description}" for field in builtin(name).fields)
    drawn = random.Random(0)
    letters = "abcdefgh ÄÖéß日本語テ123 \n\t.,:$€'🧾"
    for _ in range(2000):
        yield "".join(drawn.choice(letters) for _ in range(40))


@pytest.mark.parametrize("name", ["qwen2", "llama3"])
def test_text_has_the_tokens_that_the_vocabulary_was_made_with(name, tiny_internvl, tiny_llama_vision):
    folder = tiny_internvl if name == "qwen2" else tiny_llama_vision
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    vocabulary = getattr(vocabularies, name)()
    made_with = tiktoken.Encoding(
        name, pat_str=vocabulary.words, mergeable_ranks=dict(vocabulary.ranks), special_tokens={}
    )
    for text in texts():
        composed = unicodedata.normalize("NFC", text) if name == "qwen2" else text
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        assert ids == made_with.encode(composed, disallowed_special=()), text[:80]
        assert tokenizer.decode(ids, clean_up_tokenization_spaces=False) == composed


def test_vocabularies_are_as_large_as_the_published_ones():
    """The published files have so many merges."""
    sizes = {name: (len(v.ids), len(v.merges)) for name in ("qwen2", "llama3") for v in [getattr(vocabularies, name)()]}
    assert sizes == {"qwen2": (151_643, 151_387), "llama3": (128_000, 280_147)}


def test_special_tokens_have_their_ids(tiny_internvl, tiny_llama_vision):
    internvl = transformers.AutoProcessor.from_pretrained(tiny_internvl).tokenizer
    named = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<img>", "</img>", "<IMG_CONTEXT>", "</box>", "<video>"]
    wanted = [151643, 151644, 151645, 151665, 151666, 151667, 151673, 151674]
    assert internvl.convert_tokens_to_ids(named) == wanted
    assert (len(internvl), internvl.eos_token_id, internvl.pad_token_id) == (151_675, 151_645, 151_643)
    llama = transformers.AutoProcessor.from_pretrained(tiny_llama_vision).tokenizer
    named = ["<|begin_of_text|>", "<|end_of_text|>", "<|finetune_right_pad_id|>", "<|start_header_id|>"]
    named += ["<|eom_id|>", "<|eot_id|>", "<|python_tag|>", "<|image|>"]
    wanted = [128000, 128001, 128004, 128006, 128008, 128009, 128010, 128256]
    assert llama.convert_tokens_to_ids(named) == wanted
    assert (len(llama), llama.eos_token_id, llama.pad_token_id) == (128_257, 128_009, 128_004)
    assert llama("x")["input_ids"][0] == special_tokens.LLAMA_VISION["<|begin_of_text|>"]


def test_files_are_those_of_the_published_folders(tiny_internvl, tiny_llama_vision):
    assert {path.name for path in tiny_internvl.iterdir()} == INTERNVL_FILES
    assert {path.name for path in tiny_llama_vision.iterdir()} == LLAMA_FILES
    assert {path.name for path in (tiny_llama_vision / "original").iterdir()} == {"consolidated.pth", "params.json"}


@pytest.mark.parametrize(
    ("family", "parts", "rows"),
    [
        ("internvl", {"language_model", "vision_tower", "multi_modal_projector"}, (151_674, 151_674)),
        ("llama", {"language_model", "vision_model", "multi_modal_projector"}, (128_264, 128_256)),
    ],
)
def test_weights_have_their_old_names_and_the_published_rows(family, parts, rows, tiny_internvl, tiny_llama_vision):
    shapes = {}
    for path in variants.weights_of(tiny_internvl if family == "internvl" else tiny_llama_vision):
        with safe_open(path, "pt") as file:
            shapes |= {name: file.get_slice(name).get_shape() for name in file.keys()}  # noqa: SIM118
    assert {name.partition(".")[0] for name in shapes} == parts
    ends = ("language_model.model.embed_tokens.weight", "language_model.lm_head.weight")
    assert tuple(shapes[name][0] for name in ends) == rows


def test_settings_say_what_the_published_ones_say(tiny_internvl, tiny_llama_vision):
    internvl, llama = (json.loads((f / "config.json").read_text()) for f in (tiny_internvl, tiny_llama_vision))
    text = internvl["text_config"]
    assert text["rope_scaling"] == {"factor": 2.0, "rope_type": "dynamic", "type": "dynamic"}
    assert (text["rope_theta"], text["max_position_embeddings"], text["vocab_size"]) == (1e6, 32_768, 151_674)
    assert "tie_word_embeddings" not in internvl
    loaded = transformers.AutoConfig.from_pretrained(tiny_internvl).text_config.rope_parameters
    assert (loaded["rope_type"], loaded["factor"], loaded["rope_theta"]) == ("dynamic", 2.0, 1e6)
    text = llama["text_config"]
    assert (text["rope_scaling"]["rope_type"], text["rope_scaling"]["factor"], text["rope_theta"]) == (
        "llama3",
        8.0,
        5e5,
    )
    assert (llama["image_token_index"], text["vocab_size"]) == (128_256, 128_256)
    assert json.loads((tiny_internvl / "preprocessor_config.json").read_text())["crop_to_patches"] is False


def test_prompts_are_those_of_the_published_templates(tiny_internvl, tiny_llama_vision):
    shown = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "Read."}]}]
    spoken = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Read."}]

    def prompt(folder, turns):
        processor = transformers.AutoProcessor.from_pretrained(folder)
        return processor.apply_chat_template(turns, add_generation_prompt=True, tokenize=False)

    assert prompt(tiny_internvl, shown) == "<|im_start|>user\n<IMG_CONTEXT>\nRead.<|im_end|>\n<|im_start|>assistant\n"
    begin, head, end = "<|begin_of_text|>", "<|start_header_id|>{}<|end_header_id|>\n\n", "<|eot_id|>"
    user, assistant = head.format("user"), head.format("assistant")
    assert prompt(tiny_llama_vision, shown) == f"{begin}{user}<|image|>Read.{end}{assistant}"
    dates = "Cutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024\n\n"
    system = f"{head.format('system')}{dates}Be brief.{end}"
    assert prompt(tiny_llama_vision, spoken) == f"{begin}{system}{user}Read.{end}{assistant}"
