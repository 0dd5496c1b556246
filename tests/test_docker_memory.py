"""Containers may take what the settings allow a worker to take."""

from __future__ import annotations

from typing import Any

import pytest
from deployment import COMPOSE_FILES, compose, of_kind, pod_environment

from router.documents import Limits
from workers.memory import INTAKE_BYTES, OCR_LANE_BYTES, worker_bytes
from workers.settings import load_settings
from workers.worker_process import THREADS

UNITS = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30}
LANE_BYTES = {"intake": INTAKE_BYTES, "fast": OCR_LANE_BYTES, "deep": OCR_LANE_BYTES}
GPU_LANE_BYTES = 8_000_000_000
"""An engine's process with its CUDA context and pinned memory; the weights lie on the device."""


def concurrency(command: list[str]) -> int | None:
    return int(command[command.index("--concurrency") + 1]) if "--concurrency" in command else None


def needed(command: list[str], environment: dict[str, str], stage: str) -> int:
    limits, readers = load_settings(environment).limits, concurrency(command)
    if readers is None:
        return worker_bytes(limits, THREADS, GPU_LANE_BYTES, processes=False)
    return worker_bytes(limits, readers, LANE_BYTES[stage])


@pytest.mark.parametrize("stage", LANE_BYTES)
@pytest.mark.parametrize("name", COMPOSE_FILES)
def test_a_worker_in_compose_has_the_memory_that_its_settings_allow_it(name: str, stage: str) -> None:
    service: dict[str, Any] = compose(name)["services"][stage]
    environment = {key: str(value) for key, value in service["environment"].items()}
    assert int(service["mem_limit"]) >= needed(service["command"], environment, stage)


@pytest.mark.parametrize("stage", LANE_BYTES)
def test_a_worker_in_kubernetes_has_the_memory_that_its_settings_allow_it(stage: str) -> None:
    (container,) = of_kind("Deployment")[stage]["spec"]["template"]["spec"]["containers"]
    limit = container["resources"]["limits"]["memory"]
    assert int(limit[:-2]) * UNITS[limit[-2:]] >= needed(container["command"], pod_environment(stage), stage)


def test_more_at_once_and_larger_bounds_need_more() -> None:
    one = worker_bytes(Limits(), 1, OCR_LANE_BYTES)
    assert worker_bytes(Limits(), 2, OCR_LANE_BYTES) - one > OCR_LANE_BYTES + Limits().worker_memory_bytes
    larger = Limits(worker_memory_bytes=Limits().worker_memory_bytes + 1_000_000_000)
    assert worker_bytes(larger, 1, OCR_LANE_BYTES) == one + 1_000_000_000
    assert worker_bytes(Limits(), 8, 0, processes=False) < worker_bytes(Limits(), 8, 0)
