"""The command line of the service: what it accepts, shows, writes and exits with."""

import io
import json
import threading

import pytest
from bad_inputs import encode, picture
from rich.console import Console
from service_work import command_line, documents, fake_settings, work

from workers.job_view import jobs_table
from workers.jobs import STATES, Job, JobSpec
from workers.presence import Presence
from workers.store_redis import make_store


@pytest.fixture
def settings(broker_settings, tmp_path):
    return fake_settings(broker_settings, tmp_path)


@pytest.fixture
def store(settings):
    made = make_store(settings.service)
    yield made
    made.close()


@pytest.fixture
def paths(tmp_path):
    return documents(tmp_path / "in", 3)


@pytest.fixture
def docroute(settings, tmp_path, monkeypatch, capsys):
    return command_line(settings, tmp_path, monkeypatch, capsys)


def ids_of(out):
    return [line.split()[0] for line in out.splitlines()]


def in_background(settings):
    """Workers that begin as soon as something waits."""
    stop = threading.Event()

    def go():
        while not stop.wait(0.1):
            work(settings)

    thread = threading.Thread(target=go)
    thread.start()
    return lambda: (stop.set(), thread.join())


def test_a_folder_is_submitted_and_its_jobs_are_named(docroute, paths, store):
    code, out, err = docroute("submit", paths[0].parent, "--metadata", "order=7", "--priority", "high")
    assert code == 0, err
    assert [line.split()[1] for line in out.splitlines()] == [str(path) for path in paths]
    assert "submitted 3 of 3 documents" in err
    job = store.get(ids_of(out)[0])
    assert (job.spec.metadata, job.spec.priority) == ({"order": "7"}, "high")
    _, again, err = docroute("submit", "-", stdin="\n".join(map(str, paths)))
    assert ids_of(again) == ids_of(out)
    assert "3 were there before" in err
    assert "there before: received" in again
    assert ids_of(docroute("submit", paths[0], "--force")[1]) != ids_of(out)[:1]


def test_results_are_shown_as_they_come_and_written(docroute, settings, paths, tmp_path):
    stop = in_background(settings)
    code, out, err = docroute("submit", *paths, "--wait", "--schema", "receipt", "--out", "r.jsonl")
    stop()
    assert code == 0, err
    assert out.count("not found: ") + out.count("  receipt  ") >= 3
    assert "3 documents" in err
    assert "wrote r.jsonl" in err
    lines = [json.loads(line) for line in (tmp_path / "r.jsonl").read_text().splitlines()]
    assert {line["file"] for line in lines} == set(map(str, paths))
    assert {line["schema"] for line in lines} == {"receipt"}


def test_json_with_wait_is_one_result_a_line_and_nothing_else(docroute, settings, paths):
    stop = in_background(settings)
    code, out, err = docroute("submit", *paths, "--wait", "--json")
    stop()
    assert code == 0, err
    assert {json.loads(line)["job_id"] for line in out.splitlines()} >= {json.loads(out.splitlines()[0])["job_id"]}
    assert all(json.loads(line)["fields"] for line in out.splitlines())


def test_what_fails_is_named_and_the_rest_goes_on(docroute, settings, paths, tmp_path):
    (tmp_path / "broken.pdf").write_bytes(b"%PDF-1.4 nothing")
    stop = in_background(settings)
    code, out, err = docroute("submit", "gone.png", "broken.pdf", paths[0], "--wait", "--json")
    stop()
    assert code == 1
    assert "not submitted gone.png: no such file" in err
    assert "failed broken.pdf: " in err
    lines = {json.loads(line)["file"]: json.loads(line) for line in out.splitlines()}
    assert {name: line["status"] == "failed" for name, line in lines.items()} == {
        "gone.png": True,
        "broken.pdf": True,
        str(paths[0]): False,
    }
    assert lines["broken.pdf"]["job_id"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--metadata", "order"], "write KEY=VALUE"),
        (["--schema", "recipe"], "unknown schema 'recipe'"),
        (["--schema", "./own.toml"], "no name of a schema"),
        (["--callback", "http://example.com/"], "callback URL"),
        (["--tier", "middle"], "--tier"),
        (["--priority", "urgent"], "--priority"),
        (["--job-id", "order-7"], "--job-id names the job of one document, and these are 3"),
    ],
)
def test_wrong_usage_exits_with_2_and_submits_nothing(docroute, options, said, paths, store):
    code, out, err = docroute("submit", *paths, *options)
    assert (code, out) == (2, "")
    assert said in err
    assert store.counts()["received"] == 0


def test_an_id_of_ones_own_is_kept_by_its_document(docroute, paths):
    assert ids_of(docroute("submit", paths[0], "--job-id", "order-7")[1]) == ["order-7"]
    assert "there before" in docroute("submit", paths[0], "--job-id", "order-7")[1]
    code, out, err = docroute("submit", paths[1], "--job-id", "order-7")
    assert (code, out) == (1, "")
    assert "job order-7 is there already with another document, and untouched; give another id" in err
    assert docroute("submit", paths[0], "--job-id", "a b")[0] == 2


def test_nothing_to_submit_is_wrong_usage(docroute, tmp_path):
    (tmp_path / "empty").mkdir()
    assert docroute("submit", "empty")[0] == 2
    code, _, err = docroute("submit", "-", stdin="\n")
    assert code == 2
    assert "nothing to read" in err


@pytest.mark.parametrize("command", [["submit", "{path}"], ["status", "x"], ["list"], ["wait", "x"], ["dead", "list"]])
def test_without_a_broker_every_command_exits_with_3_and_says_what_starts_one(docroute, monkeypatch, paths, command):
    monkeypatch.setenv("DOCROUTE_SERVICE__BROKER__URL", "redis://:secret1@127.0.0.1:1/0")
    monkeypatch.setattr("workers.broker.TRIES", 1)
    code, _, err = docroute(*[part.replace("{path}", str(paths[0])) for part in command])
    assert code == 3
    assert "cannot reach redis://127.0.0.1:1/0" in err
    assert "is `docroute up` running?" in err
    assert "secret1" not in err


def test_a_job_is_followed_by_its_status_and_result(docroute, settings, paths):
    (job_id,) = ids_of(docroute("submit", paths[0])[1])
    code, out, _ = docroute("status", job_id)
    assert code == 0
    assert all(word in out for word in ("received", "created", "intake", str(paths[0].name)))
    code, out, err = docroute("result", job_id)
    assert (code, out) == (1, "")
    assert "has not ended" in err
    work(settings)
    code, out, _ = docroute("status", job_id, "--json")
    told = json.loads(out)
    assert told["finished_at"]
    assert [event["kind"] for event in told["events"]][:2] == ["created", "started"]
    code, out, _ = docroute("result", job_id)
    assert code == 0
    assert "total_amount" in out
    assert json.loads(docroute("result", job_id, "--json")[1])["job_id"] == job_id
    assert docroute("wait", "-", stdin=f"{job_id}  some file.png\n")[0] == 0


@pytest.mark.parametrize("command", ["status", "result", "wait", "cancel"])
def test_an_unknown_job_is_named_and_exits_with_1(docroute, command):
    code, _, err = docroute(command, "4711")
    assert code == 1
    assert "no such job: 4711" in err
    assert docroute(command, "-", stdin="\n")[0] == 2


def test_waiting_gives_up_and_warns_where_no_worker_is(docroute, paths):
    (job_id,) = ids_of(docroute("submit", paths[0])[1])
    code, _, err = docroute("wait", job_id, "--timeout", "0.1")
    assert code == 1
    assert "1 jobs have not ended" in err
    assert "no worker serves intake and fast" in err


def test_a_job_that_vanishes_while_it_is_waited_for_is_named_and_the_others_go_on(docroute, store, paths, monkeypatch):
    first, _, third = ids_of(docroute("submit", *paths)[1])
    known = store.get_many([first, third])
    monkeypatch.setattr(
        "workers.cli_jobs._known", lambda *_: [*known.values(), known[first].model_copy(update={"id": "gone"})]
    )
    store.cancel(first), store.cancel(third)
    code, out, err = docroute("wait", first, "gone", third, "--json")
    assert code == 1
    assert {json.loads(line)["job_id"] for line in out.splitlines()} == {first, third}
    assert "no such job: gone" in err
    assert "1 jobs have not ended" in err


def test_no_warning_where_workers_are(docroute, settings, paths):
    (job_id,) = ids_of(docroute("submit", paths[0])[1])
    for stage in ("intake", "fast"):
        Presence(settings, stage).beat()
    assert "no worker serves" not in docroute("wait", job_id, "--timeout", "0.1")[2]


def test_cancelled_jobs_are_told_apart_from_failed_ones(docroute, paths):
    (job_id,) = ids_of(docroute("submit", paths[0])[1])
    assert docroute("cancel", job_id)[:2] == (0, f"{job_id}  cancelled\n")
    code, out, err = docroute("wait", job_id, "--json")
    assert code == 1
    assert json.loads(out)["status"] == "cancelled"
    assert "cancelled " in err


def test_jobs_that_had_ended_before_give_no_rate(docroute, settings, paths):
    ids = ids_of(docroute("submit", *paths)[1])
    work(settings)
    code, _, err = docroute("wait", *ids, "--json")
    assert code == 0, err
    assert "3 documents" in err
    assert "documents an hour" not in err


def test_an_ended_job_cannot_be_cancelled(docroute, settings, paths):
    (job_id,) = ids_of(docroute("submit", paths[0])[1])
    work(settings)
    code, out, _ = docroute("cancel", job_id)
    assert code == 1
    assert "had ended before" in out


def test_jobs_are_listed_by_state_queue_and_order(docroute, settings, paths):
    first, second, third = ids_of(docroute("submit", *paths)[1])
    docroute("cancel", second)
    assert ids_of(docroute("list", "--order", "oldest")[1])[1:] == [first, second, third]
    assert ids_of(docroute("list", "--state", "cancelled")[1])[1:] == [second]
    assert ids_of(docroute("list", "--queue", "intake", "--limit", "1")[1])[1:] == [third]
    assert [json.loads(line)["id"] for line in docroute("list", "--json")[1].splitlines()] == [third, second, first]
    assert docroute("list", "--state", "failed")[:2] == (0, "")
    assert docroute("list", "--state", "failed", "--queue", "deep")[0] == 2
    work(settings)
    assert set(ids_of(docroute("list", "--order", "least_confident")[1])[1:]) == {first, third}


def test_a_narrow_terminal_cuts_off_no_id():
    spec = JobSpec(document_id="a" * 64, uri="a/long/way/to/" + "scan" * 20 + ".png")
    jobs = [Job(id="f" * 24, spec=spec, state=state, lowest_confidence=0.25) for state in STATES]
    out = io.StringIO()
    Console(file=out, width=80).print(jobs_table(jobs, 10.0))
    assert out.getvalue().count("f" * 24) == len(STATES)
    assert out.getvalue().count("0.25") == len(STATES)
    assert "done with gaps" in out.getvalue()


def test_every_command_has_a_help_with_examples_or_a_reason(docroute):
    for command in (["submit"], ["status"], ["result"], ["wait"], ["cancel"], ["list"], ["dead"], ["doctor"]):
        code, out, _ = docroute(*command, "--help")
        assert code == 0
        assert command[0] in out


def test_hostile_names_reach_no_terminal(docroute, tmp_path, store):
    path = tmp_path / "[red]\x1b[2Jx.png"
    path.write_bytes(encode(picture(), "PNG"))
    code, out, err = docroute("submit", path, "--metadata", "a\x1b[2J=b\x1b[2J")
    assert code == 0
    (job_id,) = ids_of(out)
    told = out + err + docroute("status", job_id)[1] + docroute("list")[1]
    assert "\x1b[2J" not in told
