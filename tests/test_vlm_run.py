"""`docroute run` with models of its own process: one engine, many threads, results in order."""

import json
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="the extra 'vlm' is not installed")

from bad_inputs import encode, picture
from service_work import command_line, fake_settings

from router.errors import BackendError
from router.schema import builtin
from workers.local import DocumentWorker, create_lanes
from workers.local_engines import engines_of, run_on_engines
from workers.settings import load_settings

SMALL = {"device": "cpu", "slots": 2, "slot_tokens": 2400, "answer_tokens": 24, "second_reading": "never"}


SAMPLES = Path(__file__).parents[1] / "samples"


@pytest.fixture
def paths(tmp_path):
    made = [tmp_path / f"{number}.png" for number in range(9)]
    for number, path in enumerate(made):
        path.write_bytes(b"no picture" if number == 4 else encode(picture(200, 200 + 10 * number), "PNG"))
    return made


@pytest.fixture
def settings(tiny_internvl, tmp_path):
    lanes = load_settings({}, tmp_path).lanes.model_copy(
        update={
            "fast": "internvl3",
            "deep": "fake",
            "options": {"internvl3": SMALL | {"checkpoint": str(tiny_internvl), "max_tiles": 2}},
        }
    )
    return load_settings({}, tmp_path).model_copy(update={"lanes": lanes})


def test_many_threads_share_one_engine_and_a_bad_file_stops_no_other(settings, paths):
    lanes = create_lanes(settings)
    (engine,) = engines_of(lanes)
    batches = []
    engine.on_batch(batches.append)
    outcomes = list(run_on_engines(paths, DocumentWorker(builtin("receipt"), settings, "fast"), lanes))
    assert [outcome.file for outcome in outcomes] == [str(path) for path in paths]
    assert [outcome.error is not None for outcome in outcomes] == [number == 4 for number in range(9)]
    assert max(batches) == 2
    source = outcomes[0].result.fields["total_amount"].chosen.provenance
    assert source.backend == "internvl3"
    assert " fp32 " in source.model
    with pytest.raises(BackendError, match="closed"):
        engine.load()


def test_whoever_stops_early_waits_for_no_document(settings, paths):
    lanes = create_lanes(settings)
    (engine,) = engines_of(lanes)
    outcomes = run_on_engines(iter(paths), DocumentWorker(builtin("receipt"), settings, "fast"), lanes)
    next(outcomes)
    outcomes.close()
    assert engine.state().busy == 0
    with pytest.raises(BackendError, match="closed"):
        engine.load()


def test_a_run_whose_checkpoint_is_missing_ends_before_any_document(
    broker_settings, tmp_path, paths, monkeypatch, capsys
):
    docroute = command_line(fake_settings(broker_settings, tmp_path), tmp_path, monkeypatch, capsys)
    options = json.dumps("/no/such/folder")
    monkeypatch.setenv("DOCROUTE_LANES__OPTIONS__INTERNVL3__CHECKPOINT", options)
    code, out, err = docroute("run", *paths, "--fast", "internvl3", "--json")
    assert (code, out) == (2, "")
    assert "no checkpoint folder /no/such/folder" in err


def test_samples_go_from_the_command_line_through_both_models_as_published_to_a_result(
    tmp_path, tiny_models, monkeypatch, capsys
):
    docroute = command_line(load_settings({}, tmp_path), tmp_path, monkeypatch, capsys)
    for name, value in tiny_models.items():
        monkeypatch.setenv(name, value)
    files = [SAMPLES / name for name in ("receipt-clean.png", "invoice-scan-two-pages.tiff", "statement-digital.pdf")]
    lanes = ("--fast", "internvl3", "--deep", "llama-vision")
    code, out, err = docroute("run", *files, *lanes, "--schema", "invoice", "--json")
    assert code == 0, err
    results = [json.loads(line) for line in out.splitlines()]
    assert [result["file"] for result in results] == [str(file) for file in files]
    for result in results:
        # tiny random weights say nothing that can be read: a person looks, and both models were asked
        assert result["status"] == "needs_review"
        sources = [candidate["source"] for field in result["fields"].values() for candidate in field["candidates"]]
        read_by = {(source["tier"], source["backend"], source["model"].split()[1]) for source in sources}
        assert read_by == {("fast", "internvl3", "fp32"), ("deep", "llama-vision", "fp32")}


def test_backends_calls_both_folders_ready(tmp_path, tiny_models, monkeypatch, capsys):
    docroute = command_line(load_settings({}, tmp_path), tmp_path, monkeypatch, capsys)
    monkeypatch.setenv("COLUMNS", "200")
    for name, value in tiny_models.items():
        monkeypatch.setenv(name, value)
    code, out, err = docroute("backends")
    assert (code, err) == (0, "")
    states = {line.split()[0]: line for line in out.splitlines() if line.strip()}
    assert all(" ready " in states[lane] for lane in ("internvl3", "llama-vision"))
