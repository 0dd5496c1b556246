"""The images and compose files: valid for the tools that read them, and true to our rules."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from deployment import COMPOSE_FILES, DOCKER, ROOT, compose, compose_config, hadolint, manifests, secrets_in

from workers.cli import app
from workers.settings import Settings, load_settings

DOCKERFILES = ("router.Dockerfile", "gpu.Dockerfile")
EACH_FILE = pytest.mark.parametrize("name", COMPOSE_FILES)
EACH_DOCKERFILE = pytest.mark.parametrize("name", DOCKERFILES)
EXACT_TAG = re.compile(r":v?\d+\.\d+\.\d+[\w.-]*$")


def services(name: str) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = compose(name)["services"]
    return found


def seconds(duration: str) -> int:
    units = {"h": 3600, "m": 60, "s": 1}
    return sum(int(number) * units[unit] for number, unit in re.findall(r"(\d+)([hms])", duration))


def docroute_commands() -> list[list[str]]:
    commands = [service["command"] for name in COMPOSE_FILES for service in services(name).values()]
    for part in manifests():
        pod = part.get("spec", {}).get("template", {}).get("spec", {})
        commands += [container["command"] for container in pod.get("containers", ())]
    found = [command for command in commands if _ours(command)]
    found += [re.findall(r"[\w-]+", line) for line in _image_defaults()]
    in_readme = re.findall(r"\b(docroute submit .*)$", (DOCKER / "README.md").read_text("utf-8"), re.MULTILINE)
    return found + [line.split() for line in in_readme]


def _ours(command: list[str] | None) -> bool:
    return bool(command) and command[0] == "docroute"


def _image_defaults() -> list[str]:
    lines = [line for name in DOCKERFILES for line in (DOCKER / name).read_text("utf-8").splitlines()]
    return [line.removeprefix("CMD ") for line in lines if line.startswith("CMD ")]


@EACH_FILE
def test_compose_accepts_the_file(name: str) -> None:
    assert compose_config(DOCKER / name).returncode == 0


def test_compose_refuses_a_misspelt_key(tmp_path: Path) -> None:
    file = tmp_path / "compose.yaml"
    file.write_text((DOCKER / "compose.cpu.yaml").read_text("utf-8").replace("mem_limit", "memory_limit"), "utf-8")
    answer = compose_config(file)
    assert answer.returncode != 0
    assert "memory_limit" in answer.stderr


@EACH_FILE
def test_all_parts_of_the_service_are_there(name: str) -> None:
    assert set(services(name)) == {
        "intake", "fast", "deep", "metrics", "flower", "valkey", "prometheus", "grafana"
    }  # fmt: skip


def test_both_files_differ_in_their_lanes_only() -> None:
    def shared(name: str) -> dict[str, Any]:
        raw: dict[str, Any] = yaml.safe_load((DOCKER / name).read_text("utf-8"))
        for service in raw["services"].values():
            variables = service.get("environment", {})
            for variable in [name for name in variables if name.startswith("DOCROUTE_LANES__")]:
                del variables[variable]
        own = ("fast", "deep")
        return {key: value for key, value in raw["services"].items() if key not in own} | {"secrets": raw["secrets"]}

    assert shared("compose.yaml") == shared("compose.cpu.yaml")


@EACH_FILE
def test_only_flower_is_published_and_on_loopback_only(name: str) -> None:
    published = {
        service: [(port["host_ip"], port["published"]) for port in part["ports"]]
        for service, part in services(name).items()
        if part.get("ports")
    }
    assert published == {"flower": [("127.0.0.1", "5555")]}
    assert not any("network_mode" in part for part in services(name).values())
    assert compose(name)["networks"]["inner"]["internal"] is True
    inside = {"valkey", "prometheus", "grafana", "metrics"}
    assert all(list(services(name)[service]["networks"]) == ["inner"] for service in inside)


@EACH_FILE
def test_every_service_is_confined_stops_in_time_and_is_checked(name: str) -> None:
    for service, part in services(name).items():
        assert re.fullmatch(r"[1-9]\d*:\d+", part["user"]), f"{service} may run as root"
        assert part["init"] is True, service
        assert part["read_only"] is True, service
        assert part["cap_drop"] == ["ALL"], service
        assert part["security_opt"] == ["no-new-privileges:true"], service
        assert not part.get("privileged"), service
        assert part["healthcheck"]["test"], service
        assert part["stop_grace_period"], service
        # a worker that stands still ends itself, and counts on this
        assert part["restart"] == "unless-stopped", service
        assert part["mem_limit"], service


@EACH_FILE
def test_a_worker_may_finish_its_document_and_is_not_overtaken_meanwhile(name: str) -> None:
    for worker in ("intake", "fast", "deep"):
        service = services(name)[worker]
        settings = load_settings(service["environment"], Path("/nonexistent"))
        grace_s = seconds(service["stop_grace_period"])
        assert settings.document_timeout_s < grace_s < settings.service.broker.visibility_timeout_s


def test_the_visibility_timeout_is_the_same_everywhere() -> None:
    key = "DOCROUTE_SERVICE__BROKER__VISIBILITY_TIMEOUT_S"
    found = {
        part["environment"][key] for name in COMPOSE_FILES for part in services(name).values() if _ours(part["command"])
    }
    found |= {part["data"][key] for part in manifests() if key in part.get("data", {})}
    assert len(found) == 1


@EACH_FILE
def test_secrets_come_as_files_that_the_service_was_given(name: str) -> None:
    for service, part in services(name).items():
        environment = part.get("environment", {})
        assert not secrets_in(environment), service
        given = {secret["target"] for secret in part.get("secrets", ())}
        assert {value for value in environment.values() if value.startswith("/run/secrets/")} <= given, service
    assert all(set(secret) == {"name", "file"} for secret in compose(name)["secrets"].values())


def test_no_secret_is_in_the_repository() -> None:
    tracked = subprocess.run(["git", "ls-files", "docker"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not [line for line in tracked.stdout.splitlines() if "secrets/" in line and not line.endswith(".gitignore")]


def test_every_image_has_an_exact_version_and_the_same_one_everywhere() -> None:
    images = [part["image"] for name in COMPOSE_FILES for part in services(name).values()]
    for part in manifests():
        pod = part.get("spec", {}).get("template", {}).get("spec", {})
        images += [container["image"] for container in pod.get("containers", ())]
    for name in DOCKERFILES:
        lines = re.findall(r"^FROM (\S+)(?: AS (\S+))?$", (DOCKER / name).read_text("utf-8"), re.MULTILINE)
        stages = {stage for _, stage in lines}
        images += [image for image, _ in lines if image not in stages]
    assert not [image for image in images if not EXACT_TAG.search(image)]
    assert len(set(images)) == len({image.rpartition(":")[0] for image in images})


def test_our_images_are_of_this_version() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    ours = {part["image"] for name in COMPOSE_FILES for part in services(name).values() if "build" in part}
    assert ours == {f"docroute-router:{version}", f"docroute-gpu:{version}"}


@EACH_FILE
def test_the_environment_of_every_service_is_settings_that_exist(name: str) -> None:
    for part in services(name).values():
        if _ours(part["command"]):
            assert isinstance(load_settings(part["environment"], Path("/nonexistent")), Settings)


def test_every_docroute_command_exists() -> None:
    root = typer.main.get_command(app)
    commands = docroute_commands()
    assert len(commands) >= 12
    for command in commands:
        if command[1:] == ["--help"]:
            continue
        context = root.make_context("docroute", command[1:])
        while isinstance(context.command, typer.core.TyperGroup):
            name, found, rest = context.command.resolve_command(context, [*context._protected_args, *context.args])
            assert found is not None, command
            context = found.make_context(name, rest, parent=context)
        assert not context.args, command


@EACH_FILE
def test_the_files_that_are_mounted_exist(name: str) -> None:
    mounts = [mount for part in services(name).values() for mount in part.get("volumes", ())]
    binds = [mount for mount in mounts if mount["type"] == "bind"]
    assert binds
    assert all(Path(mount["source"]).exists() and mount["read_only"] for mount in binds)
    tracked = subprocess.run(["git", "check-ignore", *(m["source"] for m in binds)], cwd=ROOT, check=False)
    assert tracked.returncode == 1, "a mounted file is ignored by git"


@EACH_DOCKERFILE
def test_the_linter_finds_nothing_in_the_dockerfile(name: str) -> None:
    answer = subprocess.run(
        [hadolint(), "--no-color", str(DOCKER / name)], capture_output=True, text=True, check=False, timeout=60
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr


@EACH_DOCKERFILE
def test_the_image_runs_as_nobody_special(name: str) -> None:
    text = (DOCKER / name).read_text("utf-8")
    users = re.findall(r"^USER (\S+)$", text, re.MULTILINE)
    assert users == ["10001:10001"]
    assert text.rindex("USER ") > text.rindex("RUN ")


@EACH_DOCKERFILE
def test_the_image_installs_what_the_makefile_installs(name: str) -> None:
    image, makefile = ((ROOT / path).read_text("utf-8") for path in (f"docker/{name}", "Makefile"))
    second = r"--no-deps --ignore-requires-python\s+(\\\n\s+)?-r requirements/second-recogniser.txt"
    for installs in (image, makefile):
        assert re.search(second, installs)
    (lock,) = set(re.findall(r"requirements/([\w-]+)\.lock", image)) - {"build"}
    assert lock in {"image", "gpu-image"}  # tests/test_locks.py knows of which extras they are


@EACH_DOCKERFILE
def test_what_is_copied_into_the_image_is_in_the_build_context(name: str) -> None:
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines() if line.startswith("!")}
    assert set(_copied(name)) <= allowed
    assert all((ROOT / source).exists() for source in allowed)


def test_the_copied_files_make_a_whole_package(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    subprocess.run(["cp", "-r", *_copied("router.Dockerfile"), str(source)], cwd=ROOT, check=True)
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(tmp_path), str(source)]
    subprocess.run(pip, check=True, timeout=200)
    tracked = subprocess.run(
        ["git", "ls-files", "router", "backends", "workers"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    with zipfile.ZipFile(next(tmp_path.glob("docroute-*.whl"))) as wheel:
        missing = set(tracked.stdout.splitlines()) - set(wheel.namelist())
    assert not missing, "add them to [tool.setuptools] in pyproject.toml"


def _copied(name: str) -> list[str]:
    lines = re.findall(r"^COPY (?!--from)(.+) \S+$", (DOCKER / name).read_text("utf-8"), re.MULTILINE)
    return [word for line in lines for word in line.split()]


def test_the_dashboard_asks_the_provisioned_source_for_metrics_that_exist() -> None:
    source = yaml.safe_load((DOCKER / "grafana/provisioning/datasources/prometheus.yml").read_text("utf-8"))
    known = "\n".join(path.read_text("utf-8") for path in (ROOT / "workers").glob("*.py"))
    for path in (DOCKER / "grafana/dashboards").glob("*.json"):
        dashboard = json.loads(path.read_text("utf-8"))
        targets = [target for panel in dashboard["panels"] for target in panel.get("targets", ())]
        assert targets
        uids = {panel["datasource"]["uid"] for panel in dashboard["panels"] if "targets" in panel}
        assert uids == {source["datasources"][0]["uid"]}
        names = {name for target in targets for name in re.findall(r"docroute_\w+", target["expr"])}
        assert not [name for name in names if re.sub(r"_(total|bucket|sum|count)$", "", name) not in known]


def test_prometheus_scrapes_services_that_exist_on_the_ports_they_listen_on() -> None:
    jobs = yaml.safe_load((DOCKER / "prometheus.yml").read_text("utf-8"))["scrape_configs"]
    targets = {name: job["port"] for entry in jobs for job in entry.get("dns_sd_configs", ()) for name in job["names"]}
    static = [target for entry in jobs for job in entry.get("static_configs", ()) for target in job["targets"]]
    targets |= {target.partition(":")[0]: int(target.partition(":")[2]) for target in static}
    for name in COMPOSE_FILES:
        for target, port in targets.items():
            environment = services(name)[target]["environment"]
            key = "FLOWER" if target == "flower" else "MONITORING"
            assert environment[f"DOCROUTE_SERVICE__{key}__PORT"] == str(port)
