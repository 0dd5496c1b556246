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
from functools import cache
from pathlib import Path

import pytest

from router.schema import load_schema, parse_schema

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = ("README.md", "DESIGN.md", "CONTRIBUTING.md", "CHANGELOG.md", "samples/README.md")
ACTIVATE = ". .venv/bin/activate"


def fenced(language):
    return [block.strip() for block in re.findall(rf"^```{language}\n(.*?)^```", README, re.DOTALL | re.MULTILINE)]


COMMANDS = [line for block in fenced("sh") for line in block.splitlines()]
MAKE = [line for line in COMMANDS if line.startswith("make ")]
ON_OWN_DATA = [line for line in COMMANDS if " DATA" in line and line not in MAKE]


def is_set_up(line):
    return line in MAKE or line in ON_OWN_DATA or line == ACTIVATE


def block_with(words):
    (block,) = [block for block in BLOCKS if words in block]
    return block


BLOCKS = [k for b in fenced("sh") if (k := "\n".join(line for line in b.splitlines() if not is_set_up(line)))]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder that looks like the project's to a command, where outputs may be written."""
    place = tmp_path_factory.mktemp("project")
    for name in ("samples", "examples", "benchmarks"):
        shutil.copytree(ROOT / name, place / name, ignore=shutil.ignore_patterns("__pycache__"))
    return place


@cache
def bash(script, cwd):
    own = {key: value for key, value in os.environ.items() if not key.startswith("DOCROUTE_")}
    path = f"{Path(sys.executable).parent}{os.pathsep}{own['PATH']}"
    command = ["bash", "-euo", "pipefail", "-c", script]
    return subprocess.run(
        command,
        cwd=cwd,
        env=own | {"PATH": path, "DOCROUTE_PROCESSES": "1"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block[:60])
def test_every_command_runs_and_fails_no_document(block, folder):
    done = bash(block, folder)
    assert done.returncode == 0, done.stderr
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
    assert bash("make test --dry-run", ROOT).stdout.rstrip().endswith("-m pytest")


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


def shape(value):
    """Return the paths of all keys in a JSON value."""
    if isinstance(value, list):
        return {path for item in value for path in shape(item)}
    if not isinstance(value, dict):
        return set()
    return {(key, *rest) for key, item in value.items() for rest in [(), *shape(item)]}


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
    (text,) = fenced("toml")
    shown, example = parse_schema(text.encode(), "README.toml"), load_schema(str(ROOT / "examples/job_invoice.toml"))
    assert shown.name == example.name
    assert set(shown.names()) <= set(example.names())


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_to_a_file(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    links = [link for link in re.findall(r"\]\(([^)\s]+)\)", text) if not link.startswith(("http", "#"))]
    assert [link for link in links if not (ROOT / page).parent.joinpath(link).exists()] == []
