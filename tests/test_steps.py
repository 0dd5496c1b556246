"""Every way of a job through the steps, with the memory store and the fake backend, without a queue."""

import json
from pathlib import Path
from typing import Any

import pytest
from bad_inputs import encode, text_pdf
from PIL import Image
from steps_world import NO_NUMBER, PAGE, SURE, UNSURE, StepsWorld, document_in_sample

from router.errors import BlobError
from workers.steps import run_step


def test_a_sure_document_is_done_by_the_fast_lane(tmp_path: Path) -> None:
    world = StepsWorld(tmp_path, [SURE])
    world.submit(uri="note.png", metadata={"ticket": "7"})
    assert world.drive() == ["intake: to fast", "fast: done"]
    job, result = world.job(), world.result()
    assert (job.state, job.stage) == ("done", "fast")
    assert job.lowest_confidence is not None
    assert world.kinds() == ["created", "started", "advanced", "started", "finished"]
    assert result["fields"]["number"]["value"] == "A-1"
    assert (result["job_id"], result["metadata"], result["file"]) == ("job", {"ticket": "7"}, "note.png")
    assert result["attempts"] == {"intake": 1, "fast": 1}
    assert set(result["elapsed_ms"]) == {"open", "score", "fast", "review", "merge"}
    assert set(result["wait_ms"]) == {"intake", "fast"}
    assert job.data["pages"] == 1


def test_only_the_risky_field_is_read_again_by_the_deep_lane(tmp_path: Path) -> None:
    world = StepsWorld(tmp_path, [SURE, NO_NUMBER])
    world.submit()
    assert world.drive() == ["intake: to fast", "fast: to deep", "deep: done"]
    result = world.result()
    assert result["escalated_fields"] == ["number"]
    assert result["fields"]["number"]["value"] == "A-1"
    assert {c["source"]["tier"] for c in result["fields"]["number"]["candidates"]} == {"fast", "deep"}
    assert {c["source"]["tier"] for c in result["fields"]["remark"]["candidates"]} == {"fast"}
    assert world.blobs("extractions") == []


def test_what_waits_for_the_deep_lane_is_escalated_and_its_reading_is_kept_meanwhile(tmp_path: Path) -> None:
    world = StepsWorld(tmp_path, [SURE, NO_NUMBER])
    world.submit()
    world.step("intake")
    world.step("fast")
    assert world.job().state == "escalated"
    assert world.blobs("extractions") == ["job.2.json"]
    assert world.job().data["fields"] == ["number"]


@pytest.mark.parametrize("tier", ["fast", "deep"])
def test_a_tier_that_was_asked_for_reads_alone(tmp_path: Path, tier: str) -> None:
    world = StepsWorld(tmp_path, [SURE, NO_NUMBER])
    world.submit(tier=tier)
    assert [line.partition(":")[0] for line in world.drive()] == ["intake", tier]
    assert world.result()["route"]["tier"] == tier
    assert world.result()["escalated_fields"] == []


def test_a_hard_document_goes_straight_to_the_deep_lane(tmp_path: Path) -> None:
    world = StepsWorld(tmp_path, [SURE])
    policy = json.loads((tmp_path / "policy.json").read_text())
    (tmp_path / "policy.json").write_text(json.dumps(policy | {"threshold": 0.0}))
    world.submit()
    assert world.drive() == ["intake: to deep", "deep: done"]
    assert world.result()["route"]["tier"] == "deep"


def test_a_blank_document_is_done_without_asking_a_model(tmp_path: Path) -> None:
    world = StepsWorld(tmp_path, [{"error": "bug"}])
    world.submit(encode(Image.new("RGB", (200, 300), "white"), "PNG"), tier="fast")
    assert world.drive()[-1].startswith("fast: ")
    assert world.job().data["blank_pages"] == 1
    assert not world.result()["fields"]["number"]["present"]


@pytest.mark.parametrize(
    ("data", "reason"),
    [(b"no document at all", ""), (PAGE[:-300], ""), (text_pdf(["secret"], password="key"), "password")],
)
def test_an_unreadable_document_fails_at_once_and_is_no_dead_letter(tmp_path: Path, data: bytes, reason: str) -> None:
    world = StepsWorld(tmp_path, [SURE])
    world.submit(data)
    assert world.drive() == ["intake: failed"]
    assert world.job().state == "failed"
    assert reason in (world.job().error or "")
    assert world.store.dead() == []
    assert world.reports[-1].state == "failed"


def test_a_schema_that_is_not_there_fails_at_intake(tmp_path: Path) -> None:
    world = StepsWorld(tmp_path, [SURE])
    world.submit(schema_name="unheard_of")
    assert world.drive() == ["intake: failed"]
    assert "unheard_of" in (world.job().error or "")


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
    assert world.blobs("results") == ["job.3.json"]
    assert world.job().result_blob == "results/job.3.json"
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
    world.runtime.blobs.delete("extractions/job.2.json")
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


# -- load
def _waiting_deep(world: StepsWorld, count: int) -> None:
    for number in range(count):
        job_id = world.submit(job_id=f"waiting{number}", tier="deep")
        world.step("intake", job_id)
    world.messages.clear()


def test_past_the_deep_limit_only_required_fields_go_deep(tmp_path: Path) -> None:
    world = StepsWorld(tmp_path, [SURE, UNSURE], load={"audit_share": 0.0, "deep_limit": 2})
    _waiting_deep(world, 3)
    world.submit()
    world.step("intake")
    assert world.step("fast") == "to deep"
    assert world.job().data["fields"] == ["number"]
    assert world.step("deep") == "done_with_gaps"
    assert "remark were not read again" in world.result()["route"]["reason"]


def test_past_twice_the_deep_limit_nothing_waits_and_people_look_at_it(tmp_path: Path) -> None:
    world = StepsWorld(tmp_path, [SURE, NO_NUMBER], load={"audit_share": 0.0, "deep_limit": 1})
    _waiting_deep(world, 3)
    world.submit()
    world.step("intake")
    assert world.step("fast") == "needs_review"
    assert world.result()["unresolved"] == ["number"]


def test_a_hard_document_is_read_by_the_fast_lane_while_the_deep_one_is_behind(tmp_path: Path) -> None:
    world = StepsWorld(tmp_path, [SURE], load={"audit_share": 0.0, "deep_limit": 1})
    policy = json.loads((tmp_path / "policy.json").read_text())
    (tmp_path / "policy.json").write_text(json.dumps(policy | {"threshold": 0.0}))
    _waiting_deep(world, 2)
    world.submit()
    assert world.step("intake") == "to fast"
    assert "wait for the deep lane" in world.job().data["route"]["reason"]  # type: ignore[index, operator]


def test_a_document_of_the_audit_sample_is_read_by_both_lanes(tmp_path: Path) -> None:
    world = StepsWorld(tmp_path, [SURE], load={"audit_share": 0.2})
    world.submit(document_in_sample(0.2, inside=True), job_id="audited")
    world.submit(document_in_sample(0.2, inside=False), job_id="usual")
    world.drive()
    assert world.result("audited")["audit"] is True
    for field in world.result("audited")["fields"].values():
        assert {candidate["source"]["tier"] for candidate in field["candidates"]} == {"fast", "deep"}
    assert world.result("audited")["escalated_fields"] == []  # what review would have done stays to be seen
    assert world.result("usual")["audit"] is False
    assert world.job("usual").stage == "fast"


def test_reports_tell_what_each_step_took_and_led_to(tmp_path: Path) -> None:
    world = StepsWorld(tmp_path, [SURE, NO_NUMBER])
    world.submit()
    world.drive()
    assert [(r.stage, r.outcome, r.state) for r in world.reports] == [
        ("intake", "to fast", None), ("fast", "to deep", None), ("deep", "done", "done")
    ]  # fmt: skip
    assert [(r.fields, r.escalated) for r in world.reports] == [(0, 0), (2, 1), (0, 0)]
    assert len(world.reports[-1].confidences) == 2
    world.runtime.traffic.flush()
    assert {name: world.store.statistics()[name] for name in ("documents", "fields", "fields_escalated")} == {
        "documents": 1, "fields": 2, "fields_escalated": 1
    }  # fmt: skip
    assert len(world.store.recent_risks()) == 2
