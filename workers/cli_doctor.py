"""`docroute doctor`: whether the service can work. Knows how checks are shown, not what they look at."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from router.errors import DocrouteError, SettingsError
from workers.console import output_console, plain_table, printable, progress_bar
from workers.jsonl import dump_line
from workers.settings import Settings, load_settings

if TYPE_CHECKING:
    from workers.checks import Check

_STYLES = {"ok": "green", "warn": "yellow", "fail": "red"}


def doctor(
    deep: Annotated[bool, typer.Option("--deep", help="Compare all jobs with all blobs, which are read.")] = False,
    repair: Annotated[bool, typer.Option("--repair", help="With --deep: mend what can be mended.")] = False,
    json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
    progress: Annotated[
        bool | None, typer.Option("--progress/--no-progress", help="Bar of --deep; default on a terminal only.")
    ] = None,
) -> None:
    """Check broker, workers, settings, disk, blobs, webhooks and queues, and say what to do.

    Run it where and as a worker runs: it looks with this process's settings, and compares them with those of every
    worker that is there.

    --deep reads every document and result and says what is missing, damaged, left over or unknown. With --repair what
    lies in the trash and is needed comes back, jobs without a result are read again where their document is there,
    records of requests are written anew, and what attempts left over goes to the trash.

    Exit code: 0 nothing must be mended (there may be warnings), 1 something must.
    """
    if repair and not deep:
        raise SettingsError("--repair mends what --deep finds; add --deep")
    from workers.doctor import examine

    settings = load_settings()
    checks, found = examine(settings), None
    if deep:
        more, found = _deep(settings, repair, progress)
        checks += more
    failed = any(check.state == "fail" for check in checks)
    if json:
        told = {"ok": not failed, "checks": [check.model_dump(mode="json") for check in checks]}
        print(dump_line(told | ({"deep": found} if found else {})))
    else:
        stdout = output_console()
        stdout.print(checks_table(checks))
        stdout.print(_summary(checks))
    if failed:
        raise typer.Exit(1)


def _deep(settings: Settings, repair: bool, progress: bool | None) -> tuple[list[Check], dict[str, object]]:
    """Return the checks of a comparison, and its counts; an error is the last check."""
    from workers.blobs import make_blobs
    from workers.checks import fail
    from workers.deep_check import DeepCheck
    from workers.store_redis import make_store

    stderr = Console(stderr=True)
    shown = stderr.is_terminal if progress is None else progress
    service, failed = settings.service, []
    with closing(make_store(service)) as store, progress_bar(stderr, shown, "comparing") as bar:
        comparison = DeepCheck(store, make_blobs(service.blobs), service.retention, repair)
        try:
            task = bar.add_task("", total=comparison.total() if shown else None)
            for _ in comparison.run():
                bar.update(task, advance=1)
        except DocrouteError as exc:
            failed = [fail("compared", f"not all: {exc}")]
    return [*comparison.findings.checks(), *failed], comparison.findings.json()


def checks_table(checks: Sequence[Check]) -> Table:
    """Return one row for each check, what to do beneath what was found."""
    table = plain_table()
    table.add_column("")
    table.add_column("check", no_wrap=True)
    table.add_column("found, and what to do", overflow="fold")
    for check in checks:
        told = Text(printable(check.detail))
        if check.advice:
            told.append(f"\n→ {printable(check.advice)}", style="cyan")
        table.add_row(Text(check.state, style=_STYLES[check.state]), Text(printable(check.name)), told)
    return table


def _summary(checks: Sequence[Check]) -> Text:
    counts = {state: sum(check.state == state for check in checks) for state in ("fail", "warn")}
    if not any(counts.values()):
        return Text("all is well", style="green")
    parts = [f"{counts['fail']} must be mended"] * bool(counts["fail"])
    parts += [f"{counts['warn']} to look at"] * bool(counts["warn"])
    return Text(", ".join(parts), style=_STYLES["fail" if counts["fail"] else "warn"])
