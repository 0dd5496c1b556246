"""The rules of the code base that no linter knows."""

import ast
import importlib.metadata
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("router", "backends", "workers")
MAX_FILE_LINES = 300
MAX_FUNCTION_LINES = 50


def python_files(*folders: str) -> list[Path]:
    return [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]


ALL_FILES = python_files(*PACKAGES, "benchmarks", "tests")


@pytest.mark.parametrize("path", ALL_FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_and_functions_stay_small(path):
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= MAX_FILE_LINES
    functions = [n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
    long = {f.name: size for f in functions if (size := (f.end_lineno or f.lineno) - f.lineno + 1) > MAX_FUNCTION_LINES}
    assert not long


def test_only_the_settings_read_the_environment():
    readers = set()
    for path in python_files(*PACKAGES):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            read = isinstance(node, ast.Attribute) and node.attr in {"environ", "getenv", "environb"}
            imported = isinstance(node, ast.ImportFrom) and node.module == "os"
            if read or (imported and {"environ", "getenv"} & {alias.name for alias in node.names}):
                readers.add(str(path.relative_to(ROOT)))
    # the second reads no settings: it keeps what is secret there from processes that open strangers' files
    assert readers == {"workers/settings.py", "router/documents/decoder_process.py"}


def test_the_pipeline_knows_no_queue():
    source = (ROOT / "workers/pipeline.py").read_text(encoding="utf-8")
    imported = {n.module or "" for n in ast.walk(ast.parse(source)) if isinstance(n, ast.ImportFrom)}
    imported |= {a.name for n in ast.walk(ast.parse(source)) if isinstance(n, ast.Import) for a in n.names}
    assert not {name for name in imported if name.partition(".")[0] in {"celery", "redis", "kombu", "httpx"}}


def test_the_three_packages_belong_to_this_distribution_alone():
    owners = importlib.metadata.packages_distributions()
    assert {owner for name in PACKAGES for owner in owners.get(name, ["nobody"])} == {"docroute"}


def test_every_package_is_listed_for_installation():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    on_disk = {
        str(p.parent.relative_to(ROOT)).replace("/", ".") for f in PACKAGES for p in (ROOT / f).rglob("__init__.py")
    }
    assert set(project["tool"]["setuptools"]["packages"]) == on_disk


def test_nothing_hijacks_the_import_of_a_package():
    assert not (ROOT / "docker" / "__init__.py").exists()
    assert not list((ROOT / "tests").rglob("__init__.py"))
    assert not [path for path in (ROOT / "tests").iterdir() if path.is_dir() and path.name in PACKAGES]


def test_every_module_says_what_it_is():
    missing = [p for p in python_files(*PACKAGES) if not ast.get_docstring(ast.parse(p.read_text(encoding="utf-8")))]
    assert missing == []
