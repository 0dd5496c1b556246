"""`docroute score`: how hard documents are, and why, without reading any field."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from router.documents import read_file
from router.errors import DocrouteError
from router.types import ComplexityScore, Route
from workers.console import output_console, printable, score_table
from workers.decisions import create_decisions
from workers.jsonl import dump_line
from workers.local import create_lanes
from workers.paths import find_paths
from workers.pipeline import intake
from workers.settings import load_settings


def score(
    paths: Annotated[
        list[str], typer.Argument(help="Files, folders, quoted globs, or - for a list on stdin.", metavar="PATH")
    ],
    json: Annotated[bool, typer.Option("--json", help="JSON lines on stdout instead of tables.")] = False,
) -> None:
    """Show how hard each document is, which lane it would take, and what contributes to the score.

    The score is the probability that the fast lane gets some field wrong; each feature's bar says how far it moves it.

    [bold]Example[/bold]

      docroute score scans/ --json | sort
    """
    settings = load_settings()
    lanes, policy = create_lanes(settings), create_decisions(settings).policy
    found = find_paths(paths, sys.stdin)
    stdout, stderr = output_console(), Console(stderr=True, highlight=False)
    failed = 0
    for path in found.paths:
        try:
            with read_file(path, settings.limits, settings.text_layer) as opened:
                points, route = intake(opened.document, opened, lanes, policy)
        except DocrouteError as exc:
            failed += 1
            stderr.print(printable(f"failed {path}: {exc}"), soft_wrap=True, markup=False)
            continue
        _show(stdout, path, points, route, json)
    if failed:
        raise typer.Exit(1)


def _show(stdout: Console, path: Path, points: ComplexityScore, route: Route, json: bool) -> None:
    if json:
        print(dump_line({"file": str(path), "score": points.model_dump(), "route": route.model_dump()}), flush=True)
        return
    stdout.print(score_table(str(path), points, route.reason, route.tier))
    stdout.print()
