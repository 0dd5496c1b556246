"""`docroute doctor`: whether the service can work. Knows how checks are shown, not what they look at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from workers.console import output_console, plain_table, printable
from workers.jsonl import dump_line
from workers.settings import load_settings

if TYPE_CHECKING:
    from workers.checks import Check

_STYLES = {"ok": "green", "warn": "yellow", "fail": "red"}


def doctor(json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False) -> None:
    """Check broker, workers, settings, disk, blobs, webhooks and queues, and say what to do.

    Run it where and as a worker runs: it looks with this process's settings, and compares them with those of every
    worker that is there.

    Exit code: 0 nothing must be mended (there may be warnings), 1 something must.
    """
    from workers.doctor import examine

    checks = examine(load_settings())
    failed = any(check.state == "fail" for check in checks)
    if json:
        print(dump_line({"ok": not failed, "checks": [check.model_dump(mode="json") for check in checks]}))
    else:
        stdout = output_console()
        stdout.print(checks_table(checks))
        stdout.print(_summary(checks))
    if failed:
        raise typer.Exit(1)


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
