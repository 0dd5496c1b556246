"""What becomes of a job when lanes fail, workers die, messages repeat or blobs vanish; without a queue."""

import json
from pathlib import Path
from typing import Any

import pytest
from steps_world import NO_NUMBER, SURE, UNSURE, StepsWorld

from router.errors import BlobError
from workers.steps import run_step


# -- failures of a lane
def test_a_failure_that_passes_is_tried_again(tmp_path: Path) -> None:
    world = StepsWorld(
        tmp_path, [SURE, {"tier": "fast", "error": "retryable", "times": 3}]
    )  # one step asks three times
    world.submit()
    assert world.drive() == ["intake: to fast", "fast: retried", "fast: done"]
    assert world.result()["attempts"] == {"intake": 1, "fast": 2}


def test_a_deep_lane_that_fails_for_good_leaves_the_fast_result_with_gaps(tmp_path: Path) -> None:
    world = StepsWorld(tmp_path, [SURE, NO_NUMBER, {"tier": "deep", "error": "extraction"}])
    world.submit()
    assert world.drive() == ["intake: to fast", "fast: to deep", *["deep: retried"] * 2, "deep: done_with_gaps"]
    assert "deep lane failed" in world.result()["route"]["reason"]
    assert world.store.dead() == []


def test_a_doubt_that_the_deep_lane_could_not_settle_is_a_gap(tmp_path: Path) -> None:
    world = StepsWorld(tmp_path, [SURE, UNSURE, {"tier": "deep", "error": "extraction"}])
    world.submit()
    world.drive()
    assert world.job().state in {"done_with_gaps", "needs_review"}
    assert world.result()["fields"]["number"]["value"] == "A-1"


@pytest.mark.parametrize(("failing", "standing_in"), [("fast", "deep"), ("deep", "fast")])
def test_the_other_lane_stands_in_for_one_that_fails_for_good(tmp_path: Path, failing: str, standing_in: str) -> None:
    world = StepsWorld(tmp_path, [SURE, {"tier": failing, "error": "extraction"}])
    policy = json.loads((tmp_path / "policy.json").read_text())
    (tmp_path / "policy.json").write_text(json.dumps(policy | {"threshold": 0.0 if failing == "deep" else 0.99}))
    world.submit()
    retried = [f"{failing}: retried"] * 2
    assert world.drive() == [
        f"intake: to {failing}", *retried, f"{failing}: to {standing_in}", f"{standing_in}: done_with_gaps"
    ]  # fmt: skip
    assert f"the {failing} lane failed" in world.result()["route"]["reason"]


def test_when_both_lanes_fail_the_job_is_a_dead_letter(tmp_path: Path) -> None:
    world = StepsWorld(tmp_path, [{"error": "extraction"}])
    world.submit()
    assert world.drive()[-1] == "deep: failed"
    (letter,) = world.store.dead()
    assert letter.stage == "deep"
    assert "told to fail" in letter.error
    assert "Traceback" in letter.traceback


def test_a_forced_lane_that_fails_is_not_stood_in_for(tmp_path: Path) -> None:
    world = StepsWorld(tmp_path, [{"tier": "fast", "error": "bug"}])
    world.submit(tier="fast")
    assert world.drive() == ["intake: to fast", "fast: retried", "fast: retried", "fast: failed"]
    assert len(world.store.dead()) == 1


def test_a_revived_job_is_read_again(tmp_path: Path) -> None:
    world = StepsWorld(tmp_path, [SURE, {"tier": "fast", "error": "extraction", "times": 3}])
    world.submit(tier="fast")
    world.drive()
    assert world.job().state == "failed"
    assert world.store.revive("job")
    assert world.drive() == ["fast: done"]


# -- workers that die
def test_a_worker_that_died_at_the_deep_lane_too_often_leaves_the_fast_result(tmp_path: Path) -> None:
    world = StepsWorld(tmp_path, [SURE, NO_NUMBER])
    world.submit()
    world.step("intake")
    world.step("fast")
    for _ in range(3):
        assert world.store.begin("job", "deep", "dying", 60.0, 3).outcome == "started"
        world.time += 61.0
        world.store.expire_leases(10)
    assert world.step("deep") == "done_with_gaps"
    assert world.result()["fields"]["remark"]["value"] == "fine"
    assert world.store.dead() == []


def test_a_document_that_kills_its_workers_is_a_dead_letter(tmp_path: Path) -> None:
    world = StepsWorld(tmp_path, [SURE])
    world.submit()
    world.step("intake")
    for _ in range(3):
        world.store.begin("job", "fast", "dying", 60.0, 3)
        world.time += 61.0
        world.store.expire_leases(10)
    assert world.step("fast") == "exhausted"
    assert world.job().state == "failed"
    assert [letter.job_id for letter in world.store.dead()] == ["job"]


# -- messages that come twice, late, or for nothing
def test_a_message_that_comes_twice_does_nothing(tmp_path: Path) -> None:
    world = StepsWorld(tmp_path, [SURE])
    world.submit()
    world.drive()
    before = world.job()
    assert world.step("intake") == "gone"
    assert world.step("fast") == "gone"
    assert world.step("fast", "unknown") == "gone"
    assert world.job() == before


def test_a_job_that_is_worked_on_is_not_begun_again(tmp_path: Path) -> None:
    world = StepsWorld(tmp_path, [SURE])
    world.submit()
    world.store.begin("job", "intake", "other", 60.0, 3)
    assert world.step("intake") == "held"


def test_the_result_of_a_late_twin_is_dropped_with_its_file(tmp_path: Path) -> None:
    world = StepsWorld(tmp_path, [SURE])
    world.submit()
    world.step("intake")
    lane = world.runtime.lane("fast")

    def slow_extract(request: Any) -> Any:
        world.time += 1000.0  # its lease runs out, and another worker does it all
        world.runtime._lanes["fast"] = lane
        assert run_step(world.new_runtime(), "fast", "job", "other") == "done"
        return lane.extract(request)

    world.runtime._lanes["fast"] = type("Slow", (), {"name": "slow", "relative_cost": 1.0, "extract": slow_extract})
    world.runtime._lanes["fast"].extract = slow_extract
    assert world.step("fast") == "late"
    (blob,) = world.blobs("results")
    assert blob.startswith("job.3"), "the third lease's"
    assert world.job().result_blob == f"results/{blob}"
    assert world.store.statistics()["late"] == 1


@pytest.mark.parametrize("stage", ["intake", "fast", "deep"])
def test_a_job_that_is_cancelled_while_it_runs_gets_no_result(
    tmp_path: Path, stage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = StepsWorld(tmp_path, [SURE, NO_NUMBER])
    world.submit()
    open_original = world.runtime.blobs.open_original

    def cancelling(document_id: str) -> bytes:
        if world.job().stage == stage:
            assert world.store.cancel("job") == "cancelled"
        return open_original(document_id)

    monkeypatch.setattr(world.runtime.blobs, "open_original", cancelling)
    assert world.drive()[-1] == f"{stage}: late"
    assert world.job().state == "cancelled"
    assert world.blobs("results") == []


def test_a_cancelled_job_is_not_begun(tmp_path: Path) -> None:
    world = StepsWorld(tmp_path, [SURE])
    world.submit()
    world.store.cancel("job")
    assert world.drive() == ["intake: gone"]


# -- blobs
def test_an_original_that_vanished_makes_a_dead_letter(tmp_path: Path) -> None:
    world = StepsWorld(tmp_path, [SURE])
    world.submit()
    world.runtime.blobs.delete(f"originals/{(d := world.job().spec.document_id)[:2]}/{d[2:4]}/{d}")
    assert world.drive() == ["intake: failed"]
    assert len(world.store.dead()) == 1


def test_a_fast_reading_that_vanished_is_made_up_for_by_the_deep_lane(tmp_path: Path) -> None:
    world = StepsWorld(tmp_path, [SURE, NO_NUMBER])
    world.submit()
    world.step("intake")
    world.step("fast")
    world.runtime.blobs.delete(str(world.job().data["extraction"]))
    assert world.step("deep") == "done_with_gaps"
    assert {f["source"]["tier"] for f in world.result()["fields"].values()} == {"deep"}


def test_a_result_that_cannot_be_written_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = StepsWorld(tmp_path, [SURE])
    world.submit()
    put_json, failures = world.runtime.blobs.put_json, [BlobError("no space left")]

    def full(*args: Any, **options: Any) -> str:
        if failures:
            raise failures.pop()
        return put_json(*args, **options)

    monkeypatch.setattr(world.runtime.blobs, "put_json", full)
    assert world.drive() == ["intake: to fast", "fast: retried", "fast: done"]
