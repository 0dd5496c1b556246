"""Every way of a job through the steps, with the memory store and the fake backend, without a queue."""

import json
from pathlib import Path

import pytest
from bad_inputs import encode, text_pdf
from PIL import Image
from steps_world import NO_NUMBER, PAGE, SURE, UNSURE, StepsWorld, document_in_sample


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


def test_where_the_fast_lane_found_nothing_the_deep_one_says_which_kind_of_document_it_is(tmp_path: Path) -> None:
    kind = {"tier": "deep", "fields": {"document_type": "invoice"}}
    world = StepsWorld(tmp_path, [{"tier": "fast", "text": ""}, kind])
    world.submit(schema_name="auto")
    assert world.drive()[:2] == ["intake: to fast", "fast: to deep"]
    result = world.result()
    assert result["schema"] == "invoice"
    assert set(result["escalated_fields"]) == set(result["fields"])


def test_what_waits_for_the_deep_lane_is_escalated_and_its_reading_is_kept_meanwhile(tmp_path: Path) -> None:
    world = StepsWorld(tmp_path, [SURE, NO_NUMBER])
    world.submit()
    world.step("intake")
    world.step("fast")
    assert world.job().state == "escalated"
    assert world.blobs("extractions") == [str(world.job().data["extraction"]).removeprefix("extractions/")]
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
