"""Submissions from the queue: what is wrong becomes a failed job with its reason; storage that is away loses none."""

from pathlib import Path
from typing import Any

import pytest
from steps_world import PAGE, SURE, StepsWorld

from router.errors import StoreError
from workers import accept as accepting
from workers.accept import accept


@pytest.fixture
def world(tmp_path: Path) -> StepsWorld:
    (tmp_path / "note.png").write_bytes(PAGE)
    return StepsWorld(tmp_path, [SURE], sources={"file_roots": [str(tmp_path)]})


def arguments_of(world: StepsWorld, **more: Any) -> dict[str, Any]:
    return {"uri": str(world.folder / "note.png"), "schema": "note", "job_id": "job"} | more


def test_a_submission_becomes_a_job_and_goes_through_intake_at_once(world: StepsWorld) -> None:
    assert accept(world.runtime, arguments_of(world), "w") == "to fast"
    assert world.messages == [("fast", "job")]


def test_the_same_submission_again_is_the_job_that_is_there(world: StepsWorld) -> None:
    accept(world.runtime, arguments_of(world), "w")
    assert accept(world.runtime, arguments_of(world), "w") == "known"
    assert world.messages == [("fast", "job")]
    assert world.kinds() == ["created", "started", "advanced", "resubmitted"]


def test_arguments_without_a_name_are_refused_by_the_word(world: StepsWorld) -> None:
    assert accept(world.runtime, {"arguments without a name": ("file:///note.png",)}, "w") == "refused"
    (job,) = world.store.jobs(state="failed")
    assert "arguments without a name" in (job.error or "")


def test_an_error_that_nobody_foresaw_is_a_failed_job_and_not_a_lost_message(
    world: StepsWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> bytes:
        raise MemoryError("no room")

    monkeypatch.setattr(accepting, "fetch", fails)
    assert accept(world.runtime, arguments_of(world), "w") == "refused"
    assert (world.job().state, world.job().error) == ("failed", "MemoryError: no room")


def test_a_store_that_is_away_leaves_the_submission_to_be_taken_again(
    world: StepsWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    def is_away(*_: object) -> None:
        raise StoreError("the store is away")

    monkeypatch.setattr(world.store, "create", is_away)
    with pytest.raises(StoreError):
        accept(world.runtime, arguments_of(world), "w")
    monkeypatch.undo()
    assert accept(world.runtime, arguments_of(world), "w") == "to fast"
