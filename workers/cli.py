"""The command line `docroute`. Knows how commands are called and what they exit with; the work is done elsewhere.

Exit codes: 0 all documents read, 1 some failed, 2 wrong usage (option, schema, setting, backend, nothing to read),
3 the broker cannot be reached or takes nothing, 130 interrupted. An error is one line on stderr, never a traceback.
"""

from __future__ import annotations

import io
import signal
import sys
from importlib.metadata import version
from types import FrameType
from typing import Annotated

import typer

from router.errors import DocrouteError, JobError, StoreError
from workers import (
    cli_dead,
    cli_doctor,
    cli_jobs,
    cli_metrics,
    cli_recover,
    cli_run,
    cli_score,
    cli_show,
    cli_submit,
    cli_up,
    cli_worker,
    flower_command,
)
from workers.console import printable
from workers.jsonl import JSON_ERRORS

SERVICE = "Service"
app = typer.Typer(
    name="docroute",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("run", no_args_is_help=True)(cli_run.run)
app.command("score", no_args_is_help=True)(cli_score.score)
app.command("backends")(cli_show.backends)
app.command("schema")(cli_show.schema)
app.command("up", rich_help_panel=SERVICE)(cli_up.up)
app.command("submit", no_args_is_help=True, rich_help_panel=SERVICE)(cli_submit.submit)
app.command("status", no_args_is_help=True, rich_help_panel=SERVICE)(cli_jobs.status)
app.command("result", no_args_is_help=True, rich_help_panel=SERVICE)(cli_jobs.result)
app.command("wait", no_args_is_help=True, rich_help_panel=SERVICE)(cli_jobs.wait)
app.command("cancel", no_args_is_help=True, rich_help_panel=SERVICE)(cli_jobs.cancel)
app.command("list", rich_help_panel=SERVICE)(cli_jobs.list_jobs)
app.add_typer(cli_dead.app, name="dead", rich_help_panel=SERVICE)
app.command("doctor", rich_help_panel=SERVICE)(cli_doctor.doctor)
app.command("recover", rich_help_panel=SERVICE)(cli_recover.recover)
app.command("worker", no_args_is_help=True, rich_help_panel=SERVICE)(cli_worker.worker)
app.command("flower", rich_help_panel=SERVICE)(flower_command.flower)
app.command("metrics", rich_help_panel=SERVICE)(cli_metrics.metrics)


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"docroute {version('docroute')}")
        raise typer.Exit


@app.callback()
def _docroute(
    show_version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Read documents into fields: a fast lane first, a thorough one for the fields that are not sure.

    Every document is scored for difficulty, read by a lane, reviewed field by field, and merged. Each value comes with
    the probability that it is right, its place on the page, and the reason for the way it took.

    Start with:  [cyan]docroute run FILE_OR_FOLDER --report report.html[/cyan]
    """


def main() -> None:
    """Run the command line and exit."""
    signal.signal(signal.SIGTERM, _terminate)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8", errors=JSON_ERRORS)
    try:
        app()
    except StoreError as exc:
        message = str(exc).removesuffix("is the server running?")
        _end(message + "is `docroute up` running?" if message != str(exc) else message, 3)
    except JobError as exc:
        _end(" ".join(str(exc).split()), 1)
    except DocrouteError as exc:
        _end(" ".join(str(exc).split()), 2)
    except KeyboardInterrupt:
        _end("interrupted", 130)
    except Exception as exc:
        _end(f"internal error, please report it: {type(exc).__name__}: {exc}", 1)


def _end(message: str, code: int) -> None:
    print(printable(f"docroute: {message}"), file=sys.stderr)
    sys.exit(code)


def _terminate(number: int, frame: FrameType | None) -> None:
    sys.exit(128 + number)  # unwinds, so that outputs are closed and workers stopped


if __name__ == "__main__":
    main()
