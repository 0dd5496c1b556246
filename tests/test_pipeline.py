"""A document's way through both lanes, in-process and over the local pool of processes."""

import os
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from bad_inputs import encode, picture, text_pdf

from backends.fake import create as create_fake
from router.decisions import neutral_decisions
from router.documents import open_document
from router.errors import ExtractionError, RetryableError
from router.schema import builtin, parse_schema
from workers import pipeline
from workers.local import DocumentWorker, Outcome, run_documents
from workers.pipeline import Lanes, process_document
from workers.pool import Crash, ProcessPool
from workers.settings import LaneSettings, Settings

NOTE = parse_schema(
    b'{"name": "note", "fields": [{"name": "note_number", "kind": "identifier", "required": true},'
    b' {"name": "sender", "kind": "text"}, {"name": "weight", "kind": "amount"}]}',
    "note.json",
)
SURE = {"note_number": "N-1", "sender": "Mill", "weight": "12.50"}
SCAN = encode(picture(), "PNG")
NEUTRAL = neutral_decisions()


@pytest.fixture(autouse=True)
def no_wait(monkeypatch):
    monkeypatch.setattr(pipeline, "RETRY_WAIT_S", 0.0)


def answer(sure=(), unsure=()):
    """An answer text; the fake itself is sure of scripted fields, so doubt is scripted as silence on a field."""
    return "\n".join(f"{name}: {value}" for name, value in SURE.items() if name in sure or name in unsure)


def process(rules, schema=NOTE, tier="auto", data=SCAN, decisions=NEUTRAL):
    lanes = Lanes(create_fake(rules), create_fake(rules, relative_cost=3.0))
    with open_document(data, "note.png") as opened:
        return process_document(opened.document, opened, schema, lanes, decisions, tier)


def test_a_sure_document_never_sees_the_deep_lane():
    result = process([{"fields": SURE}, {"tier": "deep", "error": "extraction"}])
    assert result.status == "done"
    assert result.escalated_fields == ()
    assert {field.rule for field in result.fields.values()} == {"only"}
    assert {name: field.chosen.value for name, field in result.fields.items()} == SURE
    assert "deep" not in result.elapsed_ms
    assert {"score", "fast", "review", "merge"} <= set(result.elapsed_ms)


def test_where_the_fast_lane_found_nothing_the_deep_one_says_which_kind_of_document_it_is():
    for silence in ("", "The picture is blurred."):
        rules = [{"tier": "fast", "text": silence}, {"tier": "deep", "fields": {"document_type": "invoice"}}]
        result = process(rules, schema=builtin("auto"))
        assert result.schema_name == "invoice"
        assert result.escalated_fields == builtin("invoice").names()
        assert set(result.escalation_reasons.values()) == {"the fast lane found nothing"}
        assert result.fields["supplier_name"].chosen.present


def test_a_kind_that_no_lane_could_tell_is_left_to_people():
    result = process([{"text": ""}], schema=builtin("auto"))
    assert result.status == "needs_review"
    assert result.unresolved == builtin(result.schema_name).names()


def test_only_the_doubtful_fields_are_read_again_and_merged():
    said = "note_number: N-1\nsender: Mill"
    result = process([{"fields": SURE}, {"tier": "fast", "text": said}])
    assert "weight" in result.escalated_fields
    assert set(result.escalation_reasons) == set(result.escalated_fields)
    weight = result.fields["weight"]
    assert weight.chosen.value == "12.50"
    assert weight.chosen.provenance.tier == "deep"
    assert [candidate.provenance.tier for candidate in weight.candidates] == ["fast", "deep"]
    assert result.score is not None


def test_the_deep_lane_is_asked_for_the_named_fields_only():
    class Recorder:
        name, relative_cost = "recorder", 3.0
        asked: tuple[str, ...] = ()

        def extract(self, request):
            self.asked = request.fields
            return create_fake([{"fields": SURE}]).extract(request)

    deep = Recorder()
    fast = create_fake([{"text": "note_number: N-1\nsender: Mill\nweight: NOT_FOUND"}, {"fields": SURE}])
    with open_document(SCAN, "note.png") as opened:
        result = process_document(opened.document, opened, NOTE, Lanes(fast, deep), NEUTRAL)
    assert deep.asked
    assert set(deep.asked) == set(result.escalated_fields)


@pytest.mark.parametrize("tier", ["fast", "deep"])
def test_a_forced_tier_uses_that_lane_alone(tier):
    other = "deep" if tier == "fast" else "fast"
    result = process([{"fields": SURE}, {"tier": other, "error": "extraction"}], tier=tier)
    assert result.route.tier == tier
    assert "asked for" in result.route.reason
    assert {field.chosen.provenance.tier for field in result.fields.values()} == {tier}


def test_a_deep_lane_that_fails_for_good_leaves_the_fast_result_with_gaps():
    rules = [{"tier": "fast", "text": "note_number: N-1\nsender: Mill"}, {"tier": "deep", "error": "extraction"}]
    result = process(rules)
    assert result.status in {"done_with_gaps", "needs_review"}
    assert "deep lane failed" in result.route.reason
    assert result.fields["note_number"].chosen.value == "N-1"


def test_a_fast_lane_that_fails_for_good_is_stood_in_for():
    result = process([{"fields": SURE}, {"tier": "fast", "error": "bug"}])
    assert result.status == "done_with_gaps"
    assert {field.chosen.provenance.tier for field in result.fields.values()} == {"deep"}


def test_a_failure_that_passes_is_tried_again():
    result = process([{"fields": SURE}, {"tier": "fast", "error": "retryable", "times": 2}])
    assert result.status == "done"
    with pytest.raises(RetryableError):
        process([{"error": "retryable"}], tier="fast")


def test_a_bug_in_a_lane_becomes_an_extraction_error():
    with pytest.raises(ExtractionError, match="RuntimeError: the fake was told to have a bug"):
        process([{"error": "bug"}], tier="fast")


def test_auto_results_follow_the_schema_the_lane_chose():
    result = process([], schema=builtin("auto"), tier="fast")
    assert result.schema_name == "receipt"
    assert set(result.fields) <= set(builtin("receipt").names())


def settings(rules=(), **changes) -> Settings:
    lanes = LaneSettings(fast="fake", deep="fake", options={"fake": {"script": list(rules)}})
    return Settings(lanes=lanes, processes=changes.pop("processes", 2), **changes)


def outcomes(paths, rules=(), ordered=True, **changes) -> list[Outcome]:
    worker = DocumentWorker(NOTE, settings(rules, **changes), "fast")
    return list(run_documents(paths, worker, ordered))


@pytest.fixture
def notes(tmp_path):
    paths = [tmp_path / f"{number}.pdf" for number in range(6)]
    for path in paths:
        path.write_bytes(text_pdf([f"Note {path.stem}"]))
    return paths


def test_a_crash_a_bad_file_and_a_bug_fail_their_own_documents_only(notes, tmp_path):
    bad = tmp_path / "bad.pdf"
    bad.write_bytes(b"no pdf")
    rules = [{"document": "1.pdf", "error": "crash"}, {"document": "3.pdf", "error": "bug"}]
    found = outcomes([*notes, bad, tmp_path / "gone.pdf"], rules)
    assert [Path(outcome.file).name for outcome in found] == [*(f"{n}.pdf" for n in range(6)), "bad.pdf", "gone.pdf"]
    failed = {Path(outcome.file).name: outcome.error for outcome in found if outcome.error}
    assert set(failed) == {"1.pdf", "3.pdf", "bad.pdf", "gone.pdf"}
    assert "exit code 70" in failed["1.pdf"]
    assert all("\n" not in error for error in failed.values())
    assert all((outcome.result is None) == (outcome.error is not None) for outcome in found)


def test_a_document_that_takes_too_long_is_given_up(notes):
    found = outcomes(
        notes[:3], [{"document": "0.pdf", "delay_s": 60}], document_timeout_s=10.0
    )  # each process's first document loads much
    assert [outcome.error is not None for outcome in found] == [True, False, False]
    assert "longer than 10 s" in found[0].error


@dataclass(frozen=True)
class Touch:
    """A worker that leaves a mark for each task it took."""

    folder: Path

    def __call__(self):
        def work(number: int) -> int:
            (self.folder / str(number)).touch()
            if number == 13:
                os._exit(3)
            return -number

        return work


def test_tasks_are_drawn_only_as_results_are_taken_and_stopping_leaves_no_process(tmp_path):
    drawn = []

    def tasks():
        for number in range(1000):
            drawn.append(number)
            yield number

    pool: ProcessPool[int, int] = ProcessPool(Touch(tmp_path), 2, 60)
    results = pool.run(tasks())
    taken = [next(results) for _ in range(20)]
    processes = [slot.process for slot in pool._slots]
    results.close()
    assert [index for index, _ in taken] == list(range(20))
    assert isinstance(taken[13][1], Crash)
    assert [answer for _, answer in taken if isinstance(answer, int)] == [-n for n in range(20) if n != 13]
    assert len(drawn) < 100
    deadline = time.monotonic() + 10
    while any(process.is_alive() for process in processes) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not [process for process in processes if process.is_alive()]
