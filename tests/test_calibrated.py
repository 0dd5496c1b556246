"""Whether confidences are calibrated is told wherever a result is shown."""

import io
import json

import pytest
from bad_inputs import encode, picture, text_pdf
from rich.console import Console
from steps_world import PAGE, SURE, UNSURE, StepsWorld

from backends import registry
from backends.fake import create as create_fake
from router.decisions import decisions_for, neutral_decisions
from router.documents import open_document
from router.errors import SettingsError
from router.schema import builtin, parse_schema
from workers.console import Tally, result_table
from workers.decisions import UNREADABLE, create_decisions, decisions_identity
from workers.doctor_local import check_decisions
from workers.job_outputs import JobOutputs
from workers.job_view import job_detail
from workers.local import Outcome
from workers.metrics import StepMetrics
from workers.pipeline import Lanes, process_document
from workers.presence import shared_settings
from workers.report import ReportWriter
from workers.serialise import result_json
from workers.settings import LaneSettings, PolicySettings, Settings
from workers.webhooks import event_body

NOTE = parse_schema(
    b'{"name": "note", "fields": [{"name": "note_number", "kind": "identifier", "required": true},'
    b' {"name": "sender", "kind": "text"}, {"name": "paid", "kind": "boolean"}]}',
    "note.json",
)
OCR = decisions_for("ocr-fast", "ocr-deep")


def read(rules, decisions=None, schema=NOTE):
    lanes = Lanes(create_fake(rules), create_fake(rules, relative_cost=3.0))
    with open_document(encode(picture(), "PNG"), "note.png") as opened:
        return process_document(opened.document, opened, schema, lanes, decisions or neutral_decisions())


def shown(*renderables) -> str:
    console = Console(width=160, record=True, file=io.StringIO())
    for renderable in renderables:
        console.print(renderable)
    return console.export_text()


def settings(fast="fake", deep="fake", **policy) -> Settings:
    return Settings(lanes=LaneSettings(fast=fast, deep=deep), policy=PolicySettings(**policy))


def test_two_fake_lanes_are_not_calibrated_even_under_decisions_of_others():
    rules = [{"fields": {"note_number": "1", "sender": "Mill", "paid": "true"}}]
    assert not read(rules).calibrated
    assert not read(rules, OCR).calibrated


def test_a_document_that_both_ocr_lanes_may_read_is_calibrated():
    lanes = Lanes(registry.create("ocr-fast", {}), registry.create("ocr-deep", {}))
    data = text_pdf(["Corner Shop Pty Ltd", "Invoice no: A-1001", "Date: 03/02/2024", "Total: 42.50"])
    with open_document(data, "page.pdf") as opened:
        result = process_document(opened.document, opened, builtin("invoice"), lanes, OCR)
    assert result.calibrated


def test_fields_that_neither_lane_answers_leave_gaps_that_are_listed():
    result = read([{"text": "note_number: 1"}])
    assert (result.status, result.unresolved) == ("done_with_gaps", ("sender", "paid"))
    assert set(result.escalated_fields) >= {"sender", "paid"}
    assert "no answer: sender, paid" in shown(result_table(result_json("a", result, NOTE), 1.0))


def test_the_json_of_a_result_says_so():
    assert result_json("a", read([{"text": "note_number: 1"}]), NOTE)["calibrated"] is False


def test_the_terminal_says_so_once():
    line = result_json("a", read([{"text": "note_number: 1"}]), NOTE)
    tally, told = Tally(), 0
    for one in [{k: v for k, v in line.items() if k != "calibrated"}, line | {"calibrated": True}, line, line]:
        tally.add_line(one)
        told += tally.is_first_uncalibrated(one)
    assert (told, tally.uncalibrated) == (1, 2)


def test_tables_of_jobs_carry_the_note_once(tmp_path):
    world = StepsWorld(tmp_path, [SURE])
    world.submit()
    world.drive()
    stdout = Console(width=160, record=True, file=io.StringIO())
    outputs = JobOutputs(stdout, stdout, None, json=False)
    for _ in range(2):
        outputs.take(world.job(), world.result())
    assert stdout.export_text().count("not calibrated for these lanes") == 1


def test_the_report_shows_it_and_says_nothing_where_confidences_are_calibrated(tmp_path):
    result = read([{"text": "note_number: 1"}])
    for calibrated in (False, True):
        path = tmp_path / "report.html"
        with ReportWriter(path, settings()) as report:
            said = result.model_copy(update={"calibrated": calibrated})
            report.add(Outcome(file="a", result=said, schema=NOTE))
        html = path.read_text("utf-8")
        assert ("Confidence is not calibrated" in html) is not calibrated
        assert ("confidence not calibrated" in html) is not calibrated
        assert "no answer" in html


@pytest.mark.parametrize("script", [[SURE], [UNSURE, SURE]], ids=["fast", "deep"])
def test_a_job_of_the_service_says_so_in_result_status_webhook_and_metrics(tmp_path, script):
    world = StepsWorld(tmp_path, script)
    world.submit(PAGE)
    world.drive()
    job = world.job()
    assert world.result()["calibrated"] is False
    assert job.data["calibrated"] is False
    assert "not calibrated" in shown(job_detail(job, []))
    assert json.loads(event_body(job, None))["calibrated"] is False
    metrics = StepMetrics()
    for report in world.reports:
        metrics.observe(report)
    found = {s.name: s.value for family in metrics.registry.collect() for s in family.samples}
    assert found["docroute_results_uncalibrated_total"] == 1


def test_an_own_policy_and_budget_stand_in_for_those_of_the_pair(tmp_path):
    (tmp_path / "policy.json").write_text('{"version": "own"}')
    found = create_decisions(settings(file=str(tmp_path / "policy.json"), budget=0.3))
    assert (found.version, found.policy.version, found.policy.budget) == ("uncalibrated_v1", "own", 0.3)


def test_a_file_of_decisions_is_used_whatever_the_lanes(tmp_path):
    path = tmp_path / "own.json"
    path.write_text(OCR.model_copy(update={"version": "own", "lanes": None}).model_dump_json())
    found = create_decisions(settings("internvl3", "llama-vision", decisions=str(path)))
    assert (found.version, found.weights) == ("own", OCR.weights)


def test_a_worker_with_another_backend_than_the_settings_gets_neutral_decisions():
    assert create_decisions(settings("ocr-fast", "ocr-deep"), "internvl3") == neutral_decisions()
    assert create_decisions(settings("ocr-fast", "ocr-deep"), "ocr-deep") == OCR


def test_processes_compare_the_numbers_of_their_decisions_and_not_where_files_lie(tmp_path):
    for name, budget in (("a", 0.1), ("b", 0.1), ("c", 0.2)):
        (tmp_path / name).write_text(OCR.with_budget(budget).model_dump_json())
    told = [shared_settings(settings(decisions=str(tmp_path / name)))["policy.decisions"] for name in "abc"]
    assert told[0] == told[1] != told[2]
    assert decisions_identity(settings(decisions=str(tmp_path / "none"))) == UNREADABLE


def test_doctor_says_whether_confidences_mean_what_they_say(tmp_path):
    (tmp_path / "ocr.json").write_text(OCR.model_dump_json())
    pairs = {
        "ok": settings("ocr-fast", "ocr-deep"),
        "warn": settings("ocr-fast", "llama-vision"),
    }
    for state, used in pairs.items():
        assert [check.state for check in check_decisions(used)] == [state]
    [other] = check_decisions(settings("internvl3", "llama-vision", decisions=str(tmp_path / "ocr.json")))
    assert (other.state, "fitted on ocr-fast and ocr-deep" in other.detail) == ("warn", True)
    with pytest.raises(SettingsError, match=r"missing\.json"):
        list(check_decisions(settings(decisions=str(tmp_path / "missing.json"))))
