"""What a stack will consist of: addresses, folder, workers, variables of its processes. Starts nothing.

The processes are given what differs from their own settings as `DOCROUTE_*` variables, and the stack's own settings are
read from the very same variables, so that all of them agree.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from router.errors import StackError
from workers.jobs import STAGES, Stage
from workers.queue_exporter import DEFAULT_PORT
from workers.secret_files import FOLDER
from workers.settings import Settings, child_environment, load_settings
from workers.stack_process import Program, module_command
from workers.stack_valkey import free_port, is_own, require_free, with_password

DEFAULT_WORKERS = "intake=1,fast=1,deep=1"
AUTO = "auto"
FLOWER = "flower"
_PREFIX = "DOCROUTE_SERVICE__"


@dataclass(frozen=True)
class Plan:
    """A stack.

    `workers`: documents at once by stage, None is the worker's own choice. `ports`: where each process serves /ready
    and /metrics.
    """

    settings: Settings
    environment: Mapping[str, str]
    folder: Path
    workers: Mapping[Stage, int | None]
    ports: Mapping[str, int]
    own_server: bool
    flower: bool

    def worker_program(self, stage: Stage) -> Program:
        """Return the worker of a stage."""
        variables = {f"{_PREFIX}MONITORING__PORT": str(self.ports[stage])}
        at_once = self.workers[stage]
        told = () if at_once is None else ("--concurrency", str(at_once))
        command = module_command("worker", stage, *told)
        return Program(worker_name(stage), command, {**self.environment, **variables})

    def flower_program(self) -> Program:
        """Return the live view in the browser."""
        return Program(FLOWER, module_command("flower", "--folder", str(self.folder)), self.environment)

    def ready_urls(self) -> dict[str, str]:
        """Return where each process says that it is ready, by name."""
        host = url_host(self.settings.service.monitoring.host)
        urls = {worker_name(stage): f"http://{host}:{self.ports[stage]}/ready" for stage in self.workers}
        return urls | ({FLOWER: f"{self.flower_url()}/healthcheck"} if self.flower else {})

    def live_urls(self) -> dict[str, str]:
        """Return where each worker says that it is alive, by name."""
        return {name: url.removesuffix("/ready") + "/live" for name, url in self.ready_urls().items() if name != FLOWER}

    def flower_url(self) -> str:
        """Return the address of the live view."""
        flower = self.settings.service.flower
        return f"http://{url_host(flower.host)}:{flower.port}"

    def check_ports(self) -> None:
        """Raise `StackError` naming the first port that is taken."""
        service = self.settings.service
        for name, port in self.ports.items():
            require_free(service.monitoring.host, port, f"for /metrics ({name}); set service.monitoring.port")
        if self.flower:
            require_free(service.flower.host, service.flower.port, "for Flower; set service.flower.port")


def make_plan(workers: str, folder: Path, broker: str | None, flower: bool, trial: bool) -> Plan:
    """Return the plan for the options of `docroute up`; raise `StackError`, `SettingsError`."""
    counts = read_workers(workers)
    changes = _trial_variables(folder, broker is None) if trial else {}
    if broker is not None:
        changes[f"{_PREFIX}BROKER__URL"] = broker
    settings, environment = _settings(changes, broker is None, folder if trial else FOLDER)
    first = settings.service.monitoring.port or DEFAULT_PORT
    names = ("queues", *counts)
    ports = {name: free_port() if trial else first + at for at, name in enumerate(names)}
    return Plan(
        settings=settings,
        environment=environment,
        folder=folder,
        workers=counts,
        ports=ports,
        own_server=broker is None and is_own(settings.service.broker),
        flower=flower,
    )


def _settings(changes: Mapping[str, str], may_be_own: bool, folder: Path) -> tuple[Settings, dict[str, str]]:
    """Return the settings and the variables of the stack's processes, with the password's file of its own server."""
    environment = child_environment({"PYTHONUNBUFFERED": "1", **changes})
    settings = load_settings(environment)
    own = with_password(settings.service.broker, folder)
    if may_be_own and is_own(own) and own.password_file is not None:
        environment[f"{_PREFIX}BROKER__PASSWORD_FILE"] = str(Path(own.password_file).absolute())
        settings = load_settings(environment)
    return settings, environment


def read_workers(text: str) -> dict[Stage, int | None]:
    """Return documents at once by stage, from `fast=1,deep=auto`; None is the worker's choice. Raise `StackError`."""
    counts: dict[Stage, int | None] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        stage, _, number = part.partition("=")
        valid = number == AUTO or (number.isdecimal() and 1 <= int(number) <= 1024)
        if stage not in STAGES or not valid or stage in counts:
            known = ", ".join(STAGES)
            raise StackError(f"--workers: {part!r} is not STAGE=NUMBER or STAGE=auto, each of {known} at most once")
        counts[stage] = None if number == AUTO else int(number)
    if not counts:
        raise StackError(f"--workers names no worker; write {DEFAULT_WORKERS}")
    return counts


def worker_name(stage: Stage) -> str:
    """Return what a stage's worker is called in messages and logs."""
    return f"{stage}-worker"


def url_host(host: str) -> str:
    """Return a host as it stands in a URL to look at from this machine."""
    if host in {"0.0.0.0", "::"}:
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host


def _trial_variables(folder: Path, own_server: bool) -> dict[str, str]:
    """Return variables that keep a trial apart from everything else: own data, free ports."""
    variables = {"BLOBS__URL": str(folder / "blobs"), "FLOWER__PORT": str(free_port())}
    if own_server:
        variables["BROKER__URL"] = f"redis://127.0.0.1:{free_port()}/0"
    return {_PREFIX + name: value for name, value in variables.items()}
