"""`docroute worker`: one worker process of a stage. Knows the options; the work is in `worker_process`."""

from __future__ import annotations

import signal
import sys
from enum import StrEnum
from types import FrameType
from typing import Annotated

import typer

from workers.logs import start_logging
from workers.settings import load_settings


class StageOption(StrEnum):
    """The stages a worker can serve."""

    intake = "intake"
    fast = "fast"
    deep = "deep"


class PoolOption(StrEnum):
    """Values of `--pool`."""

    threads = "threads"
    prefork = "prefork"


def worker(
    stage: Annotated[StageOption, typer.Argument(help="The queue to work on.", show_default=False)],
    backend: Annotated[
        str | None, typer.Option(help="Backend that reads; default: the settings' one for the stage.")
    ] = None,
    device: Annotated[str | None, typer.Option(help="Device for the backend, as cuda:0.")] = None,
    concurrency: Annotated[int | None, typer.Option(min=1, help="Documents at once.")] = None,
    pool: Annotated[
        PoolOption | None, typer.Option(help="Processes or threads; default: what fits the backend.")
    ] = None,
) -> None:
    """Work on one queue until told to stop.

    SIGTERM ends it after the documents it is reading, or at once while it still starts; a second one is not needed.

      docroute worker intake                        score and route documents

      docroute worker fast --concurrency 4          read with the fast lane

      docroute worker deep --backend NAME --device cuda:0
    """
    signal.signal(signal.SIGTERM, _stop_before_work)
    from workers.runtime import LaneChoice
    from workers.worker_process import WorkerChoice, run_worker

    start_logging()
    choice = WorkerChoice(
        stage=stage.value,
        lane=LaneChoice(backend, device),
        concurrency=concurrency,
        pool=pool.value if pool else None,
    )
    raise typer.Exit(run_worker(load_settings(), choice))


def _stop_before_work(number: int, frame: FrameType | None) -> None:
    """End well: nothing was begun. Celery's own handler takes this one's place when the worker has started."""
    sys.exit(0)
