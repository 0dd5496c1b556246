"""A service for tests of its clients: settings of its own, and its steps done in this process until nothing waits."""

import io
import os
import signal
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from bad_inputs import encode, picture

from workers import cli
from workers.jobs import STAGES
from workers.runtime import Runtime
from workers.service_settings import BrokerSettings
from workers.settings import Settings
from workers.steps import run_step
from workers.store_redis import make_store


def fake_settings(broker: BrokerSettings, folder: Path, **service: object) -> Settings:
    """Settings of a service with fake lanes whose blobs lie in a folder."""
    value = {"broker": broker.model_dump(), "blobs": {"url": str(folder / "blobs"), "min_free_mb": 0}} | service
    return Settings.model_validate({"lanes": {"fast": "fake", "deep": "fake"}, "service": value})


def environment_of(settings: Settings) -> dict[str, str]:
    """The variables that give a command these settings."""
    broker = settings.service.broker
    return {
        "DOCROUTE_LANES__FAST": "fake",
        "DOCROUTE_LANES__DEEP": "fake",
        "DOCROUTE_SERVICE__BROKER__URL": broker.url,
        "DOCROUTE_SERVICE__BROKER__KEY_PREFIX": broker.key_prefix,
        "DOCROUTE_SERVICE__BLOBS__URL": settings.service.blobs.url,
        "DOCROUTE_SERVICE__BLOBS__MIN_FREE_MB": "0",
    }


def documents(folder: Path, count: int) -> list[Path]:
    """So many different pictures."""
    folder.mkdir(exist_ok=True)
    paths = [folder / f"{number:02}.png" for number in range(count)]
    for number, path in enumerate(paths):
        path.write_bytes(encode(picture(300 + number, 200), "PNG"))
    return paths


def work(settings: Settings, stages: Iterable[str] = STAGES) -> None:
    """Do what waits, as workers would."""
    runtime = Runtime(settings, make_store(settings.service), publish=lambda job: None)
    while waiting := [job for stage in stages for job in runtime.store.waiting(stage, 100)]:
        for job in waiting:
            run_step(runtime, job.stage, job.id, "tester")
    runtime.store.close()


def command_line(settings: Settings, folder: Path, monkeypatch, capsys) -> Callable[..., tuple[int, str, str]]:
    """A function that runs the command line in this process and returns code, stdout and stderr."""
    for key in [key for key in os.environ if key.startswith("DOCROUTE_")]:
        monkeypatch.delenv(key)
    for key, value in environment_of(settings).items():
        monkeypatch.setenv(key, value)
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    monkeypatch.chdir(folder)

    def run(*arguments: object, stdin: str = "") -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["docroute", *map(str, arguments)])
        monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        told = capsys.readouterr()
        assert "Traceback" not in told.err
        return int(stopped.value.code or 0), told.out, told.err

    return run
