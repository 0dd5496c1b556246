"""`docroute run` with models of its own process: one engine, many threads, results in order."""

import json

import pytest

pytest.importorskip("torch", reason="the extra 'vlm' is not installed")

from bad_inputs import encode, picture
from service_work import command_line, fake_settings

from router.errors import BackendError
from router.schema import builtin
from workers.local import DocumentWorker, create_lanes
from workers.local_engines import engines_of, run_on_engines
from workers.settings import load_settings

SMALL = {"device": "cpu", "slots": 2, "slot_tokens": 1200, "answer_tokens": 24, "second_reading": "never"}


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
