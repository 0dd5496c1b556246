"""The README's commands, examples and links: each is run or looked up as a reader would."""

import importlib
import importlib.util
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
import tomllib
from functools import cache
from pathlib import Path

import pytest

from router.schema import load_schema, parse_schema
from workers.settings import Settings
from workers.signature import sign_all
from workers.submission import Submission

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = (
    "README.md",
    "DESIGN.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "samples/README.md",
    "docker/README.md",
    "benchmarks/README.md",
)
ACTIVATE = ". .venv/bin/activate"


def fenced(language):
    return [block.strip() for block in re.findall(rf"^```{language}\n(.*?)^```", README, re.DOTALL | re.MULTILINE)]


COMMANDS = [line for block in fenced("sh") for line in block.splitlines()]
MAKE = [line for line in COMMANDS if line.startswith("make ")]
UP = [line for line in COMMANDS if line.startswith(("docroute up", "docroute worker"))]
"""They run until they are stopped; the fixture `service` starts one for the commands that need it."""
ON_OWN_DATA = [line for line in COMMANDS if " DATA" in line and line not in MAKE]


def is_set_up(line):
    return line in MAKE or line in ON_OWN_DATA or line in UP or line == ACTIVATE


def needs_service(block):
    return re.search(r"\bdocroute (submit|status|result|wait|cancel|list|dead|doctor|recover)\b", block) is not None


def block_with(words):
    (block,) = [block for block in BLOCKS if words in block]
    return block


def toml_with(words):
    (block,) = [block for block in fenced("toml") if words in block]
    return block


BLOCKS = [k for b in fenced("sh") if (k := "\n".join(line for line in b.splitlines() if not is_set_up(line)))]
WITH_SERVICE = [block for block in BLOCKS if needs_service(block)]
PROGRAMS = fenced("python")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder that looks like the project's to a command, where outputs may be written."""
    place = tmp_path_factory.mktemp("project")
    for name in ("samples", "examples", "benchmarks"):
        shutil.copytree(ROOT / name, place / name, ignore=shutil.ignore_patterns("__pycache__"))
    return place


def environment(**more):
    own = {key: value for key, value in os.environ.items() if not key.startswith(("DOCROUTE_", "MAKE", "MFLAGS"))}
    path = f"{Path(sys.executable).parent}{os.pathsep}{own['PATH']}"
    return own | {"PATH": path, "DOCROUTE_PROCESSES": "1"} | more


@pytest.fixture(scope="module")
def service(folder):
    """The variables of commands beside a running `docroute up`, with lanes that cost nothing."""
    fake = {"DOCROUTE_LANES__FAST": "fake", "DOCROUTE_LANES__DEEP": "fake"}
    roots = json.dumps([str(folder / "samples")])
    told = folder / "variables"
    until_told = ["bash", "-c", f"env -0 > {told}.new && mv {told}.new {told} && read -r"]
    stack = subprocess.Popen(
        [sys.executable, "-m", "workers.cli", "up", "--trial", "--", *until_told],
        cwd=folder,
        env=environment(**fake, DOCROUTE_SERVICE__SOURCES__FILE_ROOTS=roots),
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 120
    while not told.exists():
        assert stack.poll() is None, stack.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.1)
    variables = dict(line.split("=", 1) for line in told.read_text().split("\0") if "=" in line)
    yield {key: value for key, value in variables.items() if key.startswith("DOCROUTE_")}
    _, said = stack.communicate("\n", timeout=90)
    assert stack.returncode == 0, said


@cache
def bash(script, cwd, variables=()):
    command = ["bash", "-euo", "pipefail", "-c", script]
    return subprocess.run(
        command,
        cwd=cwd,
        env=environment(**dict(variables)),
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def variables_for(block, request):
    if "internvl3" in block:
        pytest.importorskip("torch", reason="the extra 'vlm' is not installed")
        return request.getfixturevalue("tiny_models")
    return request.getfixturevalue("service") if block in WITH_SERVICE else {}


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block[:60])
def test_every_command_runs_and_fails_no_document(block, folder, request):
    variables = variables_for(block, request)
    (folder / "out").mkdir(exist_ok=True)
    done = bash(block, folder, tuple(variables.items()))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "failed" not in done.stderr
    for written in re.findall(r"--(?:out|report) (\S+)", block):
        assert (folder / written).stat().st_size > 0


@pytest.mark.parametrize("line", MAKE)
def test_every_make_target_exists_and_calls_modules_that_do(line):
    done = bash(f"{line} --dry-run", ROOT)
    assert done.returncode == 0, done.stderr
    modules = re.findall(r"python -m ([\w.]+)", done.stdout)
    assert [m for m in modules if importlib.util.find_spec(m) is None] == []


def test_the_demo_writes_what_the_readme_says_and_test_runs_pytest():
    alone, service = bash("make demo --dry-run", ROOT).stdout.splitlines()[-2:]
    assert alone.endswith("docroute run samples --out out/results.jsonl --report out/report.html")
    assert re.search(r"docroute up --trial -- \S*docroute submit samples --out out/service.jsonl$", service)
    for written in ("`out/report.html`", "`out/results.jsonl`", "`out/service.jsonl`"):
        assert written in README
    assert bash("make test --dry-run", ROOT).stdout.rstrip().endswith("-m pytest --numprocesses 2 --dist loadfile")


def test_the_environment_is_where_the_readme_activates_it():
    assert ACTIVATE in COMMANDS
    assert re.search(r"^VENV := \.venv$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)


@pytest.mark.parametrize("line", ON_OWN_DATA)
def test_training_commands_have_the_options_that_are_shown(line, monkeypatch, capsys):
    python, flag, module, *arguments = shlex.split(line)
    assert (python, flag) == ("python", "-m")
    monkeypatch.setattr(sys, "argv", [module, "--help"])
    with pytest.raises(SystemExit) as ended:
        importlib.import_module(module).main()
    told = capsys.readouterr().out
    assert ended.value.code == 0
    assert "DATA" in told.upper()
    assert [word for word in arguments if word.startswith("--") and word not in told] == []


NAMED = {"contributions", "escalation_reasons", "elapsed_ms"}
"""Objects whose keys are fields, signals or steps: which ones depends on the fitted weights."""


def shape(value):
    """Return the paths of all keys in a JSON value."""
    if isinstance(value, list):
        return {path for item in value for path in shape(item)}
    if not isinstance(value, dict):
        return set()
    return {(key, *rest) for key, item in value.items() for rest in [(), *(shape(item) if key not in NAMED else ())]}


def test_what_runs_until_it_is_stopped_has_the_options_that_are_shown():
    for line in UP:
        told = bash(f"COLUMNS=200 {line} --help", ROOT).stdout
        assert [word for word in line.split() if word.startswith("--") and word not in told] == []


def test_the_live_view_in_the_text_is_that_of_a_stack():
    (shown,) = [block for block in fenced("text") if "queue   waiting" in block]
    drawn = (ROOT / "workers/live_view.py").read_text(encoding="utf-8")
    heads = [line for line in shown.splitlines() if line.startswith(("queue ", "ended "))]
    columns = [column for head in heads for column in re.split(r"\s{2,}", head)]
    assert [column for column in columns if f'"{column}"' not in drawn] == []
    for words in ("documents a minute", "of fields escalated"):
        assert words in shown
        assert words in drawn


def program(words):
    (found,) = [text for text in PROGRAMS if words in text]
    return found


def test_the_client_in_the_text_prints_results(service, folder):
    shown = program("Client()")
    done = bash(f"python -W ignore - <<'END'\n{shown}\nEND", folder, tuple(service.items()))
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 2


def test_the_message_in_the_text_becomes_a_job(service, folder):
    shown = program("docroute.submit").replace("127.0.0.1:6390", service["DOCROUTE_SERVICE__BROKER__URL"].split("/")[2])
    shown = shown.replace(".docroute/valkey-6390.password", service["DOCROUTE_SERVICE__BROKER__PASSWORD_FILE"])
    sent = shown.replace("/srv/scans", str(folder / "samples"))
    done = bash(f"python -W ignore - <<'END'\n{sent}\nEND", folder, tuple(service.items()))
    assert done.returncode == 0, done.stderr
    wait = (
        "for _ in $(seq 100); do docroute status order-4711 && break; sleep 0.3; done; docroute wait --json order-4711"
    )
    read = bash(wait, folder, tuple(service.items()))
    assert read.returncode == 0, read.stderr
    assert json.loads(read.stdout.splitlines()[-1])["metadata"] == {"order": "4711"}


def test_the_receiver_in_the_text_knows_genuine_webhooks():
    names = {}
    exec(program("def is_genuine"), names)
    now, secret, body = int(time.time()), b"a secret of 32 characters or so.", b'{"job_id": "a"}'
    assert names["is_genuine"](secret, sign_all((b"an older secret, kept", secret), now, body), body)
    assert not names["is_genuine"](b"another secret of some length", sign_all((secret,), now, body), body)
    assert not names["is_genuine"](secret, sign_all((secret,), now, body), body + b" ")
    assert not names["is_genuine"](secret, sign_all((secret,), now - 400, body), body)
    assert not names["is_genuine"](secret, "t=,v1=", body)


def test_the_settings_in_the_text_are_settings():
    shown = tomllib.loads(toml_with("[service."))
    assert Settings.model_validate(shown).model_dump(exclude_unset=True, mode="json") == shown


def test_the_example_settings_are_valid_and_those_of_the_service_are_the_defaults():
    text = (ROOT / "examples/docroute.toml").read_text(encoding="utf-8")
    assert Settings.model_validate(tomllib.loads(text)).service == Settings().service
    with_all = tomllib.loads(re.sub(r"^# (?=\w+ = |\[[\w.-]+\]$)", "", text, flags=re.MULTILINE))
    assert Settings.model_validate(with_all).service.model_dump(exclude_unset=True).keys() == with_all["service"].keys()


def test_the_contract_in_the_text_is_that_of_the_code():
    (table,) = re.findall(r"^\| argument \|.*?\n\n", README, re.DOTALL | re.MULTILINE)
    named = set(re.findall(r"^\| `(\w+)`", table, re.MULTILINE))
    fields = {info.alias or name for name, info in Submission.model_fields.items()}
    assert named == fields


def test_the_json_example_has_the_form_of_a_real_result(folder):
    (example,) = map(json.loads, fenced("json"))
    result = json.loads(bash(block_with("json.tool"), folder).stdout)
    assert example["file"] == result["file"]
    assert shape(example) <= shape(result)
    assert set(example) == set(result)
    for name, field in example["fields"].items():
        assert set(field) == set(result["fields"][name])
        assert field["value"] == result["fields"][name]["value"]


def test_the_example_schema_reads_fields_that_no_built_in_schema_has(folder):
    table = bash(block_with("--schema examples/job_invoice.toml"), folder).stdout
    read = {words[0]: words[1] for line in table.splitlines() if len(words := line.split()) > 1}
    assert (read["job_number"], read["print_date"], read["discount_amount"]) == ("36513", "2025-05-04", "-1102.25")


def test_the_schema_in_the_text_is_valid_and_part_of_the_example():
    text = toml_with("[[fields]]")
    shown, example = parse_schema(text.encode(), "README.toml"), load_schema(str(ROOT / "examples/job_invoice.toml"))
    assert shown.name == example.name
    assert set(shown.names()) <= set(example.names())


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_to_a_file(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    links = [link for link in re.findall(r"\]\(([^)\s]+)\)", text) if not link.startswith(("http", "#"))]
    assert [link for link in links if not (ROOT / page).parent.joinpath(link.partition("#")[0]).exists()] == []
