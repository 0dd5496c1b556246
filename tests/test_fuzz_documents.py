"""The document fuzz tells what it should: the same seeds give the same documents, and what goes wrong is a finding."""

from __future__ import annotations

import os
import signal
import time

import pytest

from benchmarks.fuzz_cases import Case, corpus, make_case
from benchmarks.fuzz_documents import Fuzz, report
from benchmarks.fuzz_reader import TIGHT, _beyond, read_one


@pytest.fixture(scope="module")
def documents() -> dict[str, bytes]:
    return corpus()


def test_a_seed_always_gives_the_same_document(documents: dict[str, bytes]) -> None:
    cases = [make_case(seed, documents) for seed in range(60)]
    assert cases == [make_case(seed, documents) for seed in range(60)]
    assert len({case.data for case in cases}) == 60


def test_a_document_that_is_as_it_was_is_read(documents: dict[str, bytes]) -> None:
    for name in ("640-deep.png", "97-moving.webp", "640-packed.tiff", "scan.pdf"):
        # findings are not looked at: earlier tests of this process may have taken more memory than a fuzz may
        assert read_one(Case(0, name, documents[name]), generous=False)["outcome"] == "read"


def test_another_exception_than_a_document_error_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr("benchmarks.fuzz_reader.open_document", broken)
    told = read_one(Case(0, "x", b""), generous=False)
    assert told["outcome"] == "exception"
    assert "ZeroDivisionError: a bug" in told["finding"]


def test_a_process_beyond_its_bound_is_a_finding() -> None:
    peaks = {"caller": 50_000_000, "picture decoder": TIGHT.picture_memory_bytes + 1}
    assert "the picture decoder took 250 MB" in _beyond(peaks, TIGHT, 1.0, 20)
    assert _beyond({"caller": 50_000_000}, TIGHT, 1.0, 200) == "200 files are open"
    assert _beyond({"caller": 50_000_000}, TIGHT, 1.0, 20) == ""


def test_a_caller_that_ends_is_a_finding_whose_document_is_kept(tmp_path) -> None:
    fuzz = Fuzz(first_seed=5, processes=1, folder=tmp_path)
    os.kill(fuzz._watched[0].process.pid, signal.SIGKILL)
    fuzz._watched[0].process.join()
    fuzz.run(time.monotonic() + 2)
    told = report(fuzz.tally, 5, 0.1, 1)
    assert told["findings"][0]["finding"] == "the caller ended with status -9"
    assert [path.name.split("-")[0] for path in (tmp_path / "findings").iterdir()] == ["5"]
