"""`docroute up`: the whole service on one machine, with one command. Knows the options; the work is in `stack_run`."""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from router.errors import StackError
from workers.console import printable
from workers.logs import start_logging

WORKERS = "intake=1,fast=1,deep=1"


def up(
    command: Annotated[
        list[str] | None,
        typer.Argument(help="After --: run this when all is ready, then stop, with its exit code.", show_default=False),
    ] = None,
    workers: Annotated[
        str, typer.Option(help="Documents at once (auto: what fits the backend) of each stage's worker.")
    ] = WORKERS,
    flower: Annotated[bool, typer.Option("--flower", help="Show workers and tasks in the browser.")] = False,
    broker: Annotated[
        str | None, typer.Option(metavar="URL", help="Use this Redis or Valkey and start none.", show_default=False)
    ] = None,
    folder: Annotated[Path, typer.Option(help="Where the server's data and all logs are kept.")] = Path(".docroute"),
    grace: Annotated[float, typer.Option(min=0, help="Seconds that workers get to end what they read.")] = 60.0,
    trial: Annotated[
        bool, typer.Option("--trial", help="Own free ports and a folder that goes at the end; nothing is kept.")
    ] = False,
) -> None:
    """Start a server, workers and, if wanted, Flower; keep them running and show them until Ctrl-C.

    The server is a Valkey on the port of the setting service.broker.url (6390), with an append-only file in the folder:
    what was submitted is there after the next start. It listens on this machine only.

      docroute up --flower

      docroute up --workers intake=2,fast=4,deep=1

      docroute up --workers intake=4,fast=auto,deep=auto      models on a GPU: as many as they read at once

      docroute up --trial -- docroute submit samples --wait
    """
    start_logging("WARNING")
    try:
        code = (
            _in_trial(command or [], workers, flower, broker, grace)
            if trial
            else _run(command or [], workers, flower, broker, folder, grace, trial=False)
        )
    except StackError as exc:
        print(printable(f"docroute: {' '.join(str(exc).split())}"), file=sys.stderr)
        code = 1
    raise typer.Exit(code)


def _in_trial(command: list[str], workers: str, flower: bool, broker: str | None, grace: float) -> int:
    folder = Path(tempfile.mkdtemp(prefix="docroute-"))
    try:
        return _run(command, workers, flower, broker, folder, grace, trial=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _run(
    command: list[str], workers: str, flower: bool, broker: str | None, folder: Path, grace: float, trial: bool
) -> int:
    from workers.stack_plan import make_plan
    from workers.stack_run import StackRun

    plan = make_plan(workers, folder, broker, flower, trial)
    return StackRun(plan, command, grace).run()
