"""The command line as a user meets it: what it prints, writes and exits with."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from bad_inputs import EXPECTED, encode, make_bad_inputs, picture, text_pdf

from router.errors import SettingsError
from workers.jsonl import JsonLines
from workers.local import create_lanes
from workers.paths import find_paths
from workers.settings import load_settings

FAKE = {"DOCROUTE_LANES__FAST": "fake", "DOCROUTE_LANES__DEEP": "fake", "DOCROUTE_PROCESSES": "1"}


def environment(**more):
    own = {key: value for key, value in os.environ.items() if not key.startswith("DOCROUTE_")}
    return own | FAKE | more


def docroute(*arguments, stdin="", cwd=None, **more):
    command = [sys.executable, "-m", "workers.cli", *map(str, arguments)]
    return subprocess.run(
        command, input=stdin, capture_output=True, text=True, cwd=cwd, env=environment(**more), timeout=120, check=False
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("documents")
    (root / "b.png").write_bytes(encode(picture(), "PNG"))
    (root / "sub").mkdir()
    (root / "sub" / "a.pdf").write_bytes(text_pdf(["Total: 12.00"]))
    (root / "no_suffix").write_bytes(encode(picture(300, 300), "JPEG"))
    (root / "README.md").write_text("not a document")
    (root / "b.json").write_text("{}")
    return root


@pytest.fixture(scope="module")
def finished(folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("out")
    run = docroute("run", folder, "--out", out / "r.jsonl", "--report", out / "r.html")
    return run, out


def test_a_folder_is_read_and_everything_is_written(finished, folder):
    run, out = finished
    assert run.returncode == 0, run.stderr
    lines = [json.loads(line) for line in (out / "r.jsonl").read_text().splitlines()]
    assert [line["file"] for line in lines] == [str(folder / name) for name in ("b.png", "no_suffix", "sub/a.pdf")]
    assert {path.name for path in out.iterdir()} == {"r.jsonl", "r.html"}
    assert "skipped 2 files" in run.stderr
    assert "3 documents" in run.stderr
    assert "total_amount" in run.stdout


def test_a_line_holds_all_that_is_known_of_a_field(finished):
    line = json.loads((finished[1] / "r.jsonl").read_text().splitlines()[0])
    assert set(line) >= {"file", "document_id", "schema", "status", "route", "fields", "escalated_fields", "elapsed_ms"}
    for field in line["fields"].values():
        assert set(field) >= {"type", "value", "raw", "confidence", "bounding_regions", "source", "rule", "candidates"}
        assert field["value"] is None or field["present"]
    assert line["fields"]["line_items"]["rows"][0]["description"]["value"]


def test_json_on_stdout_is_one_object_a_line_and_nothing_else(folder):
    run = docroute("run", "-", "--json", "--tier", "fast", stdin=f"{folder / 'b.png'}\n\n{folder / 'sub/a.pdf'}\n")
    assert run.returncode == 0, run.stderr
    found = [json.loads(line) for line in run.stdout.splitlines()]
    assert [Path(line["file"]).name for line in found] == ["b.png", "a.pdf"]
    assert {line["route"]["tier"] for line in found} == {"fast"}


def test_every_bad_input_is_one_line_with_its_name_and_the_rest_goes_on(tmp_path):
    paths = make_bad_inputs(tmp_path)
    named = [path for name, path in paths.items() if name != "directory.pdf"]
    good = tmp_path / "good.png"
    good.write_bytes(encode(picture(), "PNG"))
    run = docroute("run", *named, good, "--out", tmp_path / "out.jsonl")
    assert run.returncode == 1
    assert "Traceback" not in run.stderr + run.stdout
    failed = [line for line in run.stderr.splitlines() if line.startswith("failed ")]
    assert [line.split(": ")[0].removeprefix("failed ") for line in failed] == [str(path) for path in named]
    assert all(len(line.split(": ", 1)[1]) > 10 for line in failed)
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [line["status"] == "failed" for line in lines] == [True] * len(named) + [False]
    kinds = {Path(line["file"]).name: line["error"]["type"] for line in lines[:-1]}
    assert {name: kinds[name] for name in ("empty.pdf", "bomb.png")} == {
        n: EXPECTED[n].__name__ for n in ("empty.pdf", "bomb.png")
    }


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run", "x.png", "--schema", "recipe"], "unknown schema 'recipe'; built in are auto"),
        (["run", "x.png", "--schema", "odd.toml"], "odd.toml: fields.0.kind"),
        (["run", "x.png", "--tier", "middle"], "--tier"),
        (["run", "empty"], "nothing to read"),
        (["run", "x.png", "--out", "empty"], "cannot write empty"),
        (["schema", "recipe"], "unknown schema"),
        (["run", "x.png", "--processes", "0"], "--processes"),
        (["frobnicate"], "frobnicate"),
    ],
)
def test_wrong_usage_exits_with_2_and_says_what_is_wrong(arguments, said, tmp_path, monkeypatch, capsys):
    (tmp_path / "empty").mkdir()
    (tmp_path / "odd.toml").write_text('name = "odd"\n[[fields]]\nname = "a"\nkind = "colour"\n')
    (tmp_path / "x.png").write_bytes(encode(picture(), "PNG"))
    monkeypatch.chdir(tmp_path)
    code, _, stderr = call(monkeypatch, capsys, *arguments)
    assert code == 2
    assert said in stderr
    assert "Traceback" not in stderr


def call(monkeypatch, capsys, *arguments, **more):
    """Run the command line in this process."""
    from workers import cli

    for key in [key for key in os.environ if key.startswith("DOCROUTE_")]:
        monkeypatch.delenv(key)
    for key, value in (FAKE | more).items():
        monkeypatch.setenv(key, value)
    monkeypatch.setattr(sys, "argv", ["docroute", *map(str, arguments)])
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    captured = capsys.readouterr()
    return stopped.value.code or 0, captured.out, captured.err


def test_score_shows_what_contributes(folder, monkeypatch, capsys):
    code, stdout, _ = call(monkeypatch, capsys, "score", folder / "b.png")
    assert code == 0
    assert "intercept" in stdout
    assert "contribution" in stdout
    code, stdout, stderr = call(monkeypatch, capsys, "score", folder / "b.png", folder / "b.json", "--json")
    assert code == 1
    assert 0 <= json.loads(stdout)["score"]["value"] <= 1
    assert "b.json" in stderr


def test_backends_and_schemas_are_listed(monkeypatch, capsys):
    code, stdout, _ = call(monkeypatch, capsys, "backends")
    assert code == 0
    assert all(name in stdout for name in ("fake", "ocr-fast", "ocr-deep"))
    _, stdout, _ = call(monkeypatch, capsys, "schema")
    assert all(name in stdout for name in ("auto", "receipt", "invoice", "bank_statement"))
    _, stdout, _ = call(monkeypatch, capsys, "schema", "bank_statement")
    assert "transactions" in stdout


def test_help_and_version_work_without_any_document(monkeypatch, capsys):
    assert "docroute" in call(monkeypatch, capsys, "--version")[1]
    for command in ([], ["run"], ["score"], ["backends"], ["schema"]):
        code, stdout, _ = call(monkeypatch, capsys, *command, "--help")
        assert code == 0
        assert "Usage" in stdout


def test_a_misspelt_setting_names_the_nearest_one(monkeypatch, capsys, folder):
    code, _, stderr = call(monkeypatch, capsys, "run", folder, DOCROUTE_LIMITS__MAX_PAGE="3")
    assert code == 2
    assert "DOCROUTE_LIMITS__MAX_PAGE: unknown setting 'limits.max_page'; did you mean 'max_pages'?" in stderr


def test_a_settings_file_is_read_and_the_environment_is_stronger(tmp_path):
    (tmp_path / "docroute.toml").write_text('processes = 3\n[lanes]\nfast = "fake"\n[limits]\nmax_pages = 7\n')
    settings = load_settings({"DOCROUTE_LIMITS__MAX_PAGES": "9", "HOME": "/x"}, tmp_path)
    assert (settings.processes, settings.lanes.fast, settings.limits.max_pages) == (3, "fake", 9)


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"DOCROUTE_PROCESES": "2"}, "did you mean 'processes'?"),
        ({"DOCROUTE_PROCESSES": "none"}, "DOCROUTE_PROCESSES: processes"),
        ({"DOCROUTE_POLICY__BUDGET": "1.5"}, "policy.budget"),
        ({"DOCROUTE_CONFIG": "/no/such/file.toml"}, "cannot read the settings file"),
        ({"DOCROUTE_PROCESSES__MANY": "2", "DOCROUTE_PROCESSES": "2"}, "single value"),
    ],
)
def test_wrong_settings_are_refused(variables, said, tmp_path):
    with pytest.raises(SettingsError, match=said.replace("?", r"\?")):
        load_settings(variables, tmp_path)


def test_paths_are_files_folders_globs_and_lists(folder):
    found = find_paths([str(folder / "**" / "*.p*"), str(folder / "sub"), "-"], [f"{folder / 'b.json'}\n"])
    assert [path.name for path in found.paths] == ["b.png", "a.pdf", "b.json"]
    assert find_paths(["gone*.pdf"], []).paths == (Path("gone*.pdf"),)


def test_a_broken_document_in_a_folder_is_not_skipped(tmp_path):
    (tmp_path / "broken.pdf").write_bytes(b"")
    (tmp_path / "notes.txt").write_text("hello")
    found = find_paths([str(tmp_path)], [])
    assert [path.name for path in found.paths] == ["broken.pdf"]
    assert found.skipped == 1


def test_hostile_names_and_values_reach_no_terminal_and_break_no_output(tmp_path):
    names = ["[red]\x1b[2Jx.png", os.fsdecode(b"\xff\xfe.png")]
    for name in names:
        (tmp_path / name).write_bytes(encode(picture(), "PNG"))
    (tmp_path / "bad[bold].png").write_bytes(b"")
    rules = [{"fields": {"supplier_name": "a\x1b]0;x\x07b [/bold] \ud800"}}]
    (tmp_path / "rules.json").write_text(json.dumps(rules))
    options = f'{{script = "{tmp_path / "rules.json"}"}}'
    run = docroute(
        "run", tmp_path, "--out", tmp_path / "o.jsonl", "--report", tmp_path / "o.html", "--progress",
        DOCROUTE_LANES__OPTIONS__FAKE=options,
    )  # fmt: skip
    assert run.returncode == 1, run.stderr
    assert "\x1b[2J" not in run.stdout + run.stderr
    assert "\x1b]0" not in run.stdout + run.stderr
    assert "failed" in run.stderr
    assert "Traceback" not in run.stderr
    assert len([json.loads(line) for line in (tmp_path / "o.jsonl").read_text("utf-8").splitlines()]) == 3


def test_lines_are_whole_and_an_older_file_stays_until_the_end(tmp_path):
    path = tmp_path / "r.jsonl"
    path.write_text("old\n")
    with JsonLines(path) as lines:
        lines.write({"a": "ü\n"})
        assert path.read_text() == "old\n"
        assert (tmp_path / "r.jsonl.partial").read_text() == '{"a":"ü\\n"}\n'
    assert path.read_text() == '{"a":"ü\\n"}\n'
    assert not (tmp_path / "r.jsonl.partial").exists()


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_run_keeps_its_finished_lines_and_stops_cleanly(sent, code, folder, tmp_path):
    slow = json.dumps([{"document": "a.pdf", "delay_s": 60}])
    (tmp_path / "script.json").write_text(slow)
    out = tmp_path / "r.jsonl"
    options = f'{{script = "{tmp_path / "script.json"}"}}'
    process = subprocess.Popen(
        [sys.executable, "-m", "workers.cli", "run", str(folder), "--tier", "fast", "--out", str(out)],
        env=environment(DOCROUTE_LANES__OPTIONS__FAKE=options),
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    partial = tmp_path / "r.jsonl.partial"
    deadline = time.monotonic() + 60
    while not (partial.exists() and partial.read_text().count("\n") == 2) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(sent)
    _, stderr = process.communicate(timeout=30)
    assert process.returncode == code
    assert "Traceback" not in stderr
    assert [json.loads(line)["status"] != "failed" for line in out.read_text().splitlines()] == [True, True]


def test_options_of_backends_may_be_named_with_underscores_and_stay_when_no_lane_uses_them(tmp_path):
    settings = load_settings(
        {
            "DOCROUTE_LANES__FAST": "fake",
            "DOCROUTE_LANES__DEEP": "fake",
            "DOCROUTE_LANES__OPTIONS__LLAMA_VISION__DEVICE": "cuda:1",
            "DOCROUTE_LANES__OPTIONS__LLAMA_VISION__SLOTS": "8",
        },
        tmp_path,
    )
    assert settings.lanes.options_of("llama-vision") == {"device": "cuda:1", "slots": 8}
    lanes = create_lanes(settings)
    assert lanes.fast is lanes.deep
    unheard = settings.lanes.model_copy(update={"options": {"llama-visoin": {}}})
    with pytest.raises(SettingsError, match="no backend 'llama-visoin'"):
        create_lanes(settings.model_copy(update={"lanes": unheard}))
