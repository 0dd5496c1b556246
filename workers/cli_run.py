"""`docroute run`: documents in, results out. Knows the terminal and the outputs; reading is done by `local`."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from router.schema import load_schema
from workers.console import UNCALIBRATED_NOTE, Tally, output_console, printable, progress_bar, result_table
from workers.decisions import create_decisions
from workers.jsonl import JsonLines, dump_line
from workers.local import DocumentWorker, Outcome, create_lanes, run_documents
from workers.local_engines import engines_of, run_on_engines
from workers.paths import find_paths
from workers.pipeline import Lanes
from workers.report import ReportWriter
from workers.serialise import Json, failure_json, result_json
from workers.settings import Settings, load_settings

_TABLES_SHOWN = 20


_Paths = Annotated[
    list[str],
    typer.Argument(
        help="Files, folders (searched to the bottom), quoted globs, or - for a list on stdin.", metavar="PATH"
    ),
]
_Progress = Annotated[
    bool | None, typer.Option("--progress/--no-progress", help="Progress bar on stderr; default on a terminal only.")
]


class TierOption(StrEnum):
    """Values of `--tier`."""

    auto = "auto"
    fast = "fast"
    deep = "deep"


class TextLayerOption(StrEnum):
    """Values of `--text-layer`."""

    auto = "auto"
    trust = "trust"
    ignore = "ignore"


@dataclass
class _Outputs:
    """Where outcomes go."""

    stderr: Console
    stdout: Console | None
    lines: JsonLines | None
    report: ReportWriter | None
    json: bool
    tally: Tally = field(default_factory=Tally)

    def take(self, outcome: Outcome) -> None:
        self.tally.add(outcome)
        line = outcome_json(outcome)
        if self.lines:
            self.lines.write(line)
        if self.report:
            self.report.add(outcome)
        if self.json:
            print(dump_line(line), flush=True)
        elif self.stdout and outcome.result and self.tally.documents <= _TABLES_SHOWN:
            self.stdout.print(result_table(line, outcome.elapsed_s))
            if self.tally.is_first_uncalibrated(line):
                self.stdout.print(UNCALIBRATED_NOTE)
            self.stdout.print()
        elif self.stdout and self.tally.documents == _TABLES_SHOWN + 1:
            self.stdout.print("[dim]… more documents, not shown here; --out and --report hold all of them[/dim]")
        if outcome.error:
            self.stderr.print(f"[red]failed[/red] {_escaped(outcome.file)}: {_escaped(outcome.error)}", soft_wrap=True)


def run(
    paths: _Paths,
    schema: Annotated[
        str, typer.Option(help="Built-in name ([cyan]docroute schema[/cyan] lists them) or your .toml/.json file.")
    ] = "auto",
    tier: Annotated[
        TierOption, typer.Option(help="Let each field decide (auto), or force one lane.")
    ] = TierOption.auto,
    fast: Annotated[str | None, typer.Option(help="Backend of the fast lane; default: the settings' one.")] = None,
    deep: Annotated[str | None, typer.Option(help="Backend of the deep lane; default: the settings' one.")] = None,
    text_layer: Annotated[
        TextLayerOption | None, typer.Option(help="Believe a PDF's own words as the page shows them, always or never.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write results as JSON lines, one document a line.")] = None,
    report: Annotated[Path | None, typer.Option(help="Write one self-contained HTML page to look at.")] = None,
    json: Annotated[bool, typer.Option("--json", help="JSON lines on stdout instead of tables.")] = False,
    processes: Annotated[
        int | None, typer.Option(min=1, help="Documents at once; default one a CPU, or what fills a GPU's slots.")
    ] = None,
    progress: _Progress = None,
) -> None:
    """Read documents and print, write and report their fields.

    [bold]Examples[/bold]

      docroute run receipt.jpg                            one picture, a table on the terminal

      docroute run invoices/ --out results.jsonl          a folder, one JSON line for each document

      docroute run 'scans/**/*.pdf' --report look.html    a page with every value marked where it stands

      find . -name '*.tif' | docroute run - --json        a list of names on stdin, JSON on stdout

      docroute run notes/ --schema delivery_note.toml     your own fields, no code

      docroute run scans/ --fast internvl3 --deep llama-vision      vision-language models on a GPU

    Exit code: 0 all read, 1 some failed (each named on stderr), 2 wrong usage.
    """
    settings = _chosen(load_settings(), processes, fast, deep, text_layer)
    worker = DocumentWorker(load_schema(schema), settings, tier.value, pictured=report is not None)
    # a wrong setting is told once, before any document
    lanes, _ = create_lanes(settings, tier.value), create_decisions(settings)
    found = find_paths(paths, sys.stdin)
    stderr = Console(stderr=True, highlight=False)
    if found.skipped:
        stderr.print(f"[dim]skipped {found.skipped} files that are no documents[/dim]")
    outcomes = _outcomes(found.paths, worker, lanes, stderr)
    if _run_all(outcomes, len(found.paths), worker, stderr, out, report, json, progress).failed:
        raise typer.Exit(1)


def _chosen(
    settings: Settings,
    processes: int | None,
    fast: str | None,
    deep: str | None,
    text_layer: TextLayerOption | None = None,
) -> Settings:
    """Return the settings with what the options say otherwise."""
    named = {tier: backend for tier, backend in (("fast", fast), ("deep", deep)) if backend is not None}
    changes: dict[str, object] = {"lanes": settings.lanes.model_copy(update=named)}
    if text_layer is not None:
        changes["text_layer"] = text_layer.value
    return settings.model_copy(update=changes | ({} if processes is None else {"processes": processes}))


def _outcomes(paths: tuple[Path, ...], worker: DocumentWorker, lanes: Lanes, stderr: Console) -> Iterator[Outcome]:
    """Return the readings to come, models that this process runs loaded; raise `BackendError` where one cannot be."""
    engines = engines_of(lanes)
    if not engines:
        return run_documents(paths, worker)
    for engine in engines:
        stderr.print(f"[dim]loading {_escaped(engine.facts().id)}[/dim]", soft_wrap=True)
        engine.load()
        facts = engine.facts()
        stderr.print(f"[dim]{_escaped(facts.name)} on {facts.device}, {facts.slots} slots[/dim]", soft_wrap=True)
    return run_on_engines(paths, worker, lanes)


def _run_all(
    read: Iterator[Outcome],
    documents: int,
    worker: DocumentWorker,
    stderr: Console,
    out: Path | None,
    report: Path | None,
    json: bool,
    progress: bool | None,
) -> Tally:
    started = time.perf_counter()
    shown = stderr.is_terminal if progress is None else progress
    stdout = output_console()
    if shown and stdout.is_terminal:
        stdout = stderr  # one terminal: tables must go above the moving bar
    with ExitStack() as stack:
        outputs = _Outputs(
            stderr=stderr,
            stdout=None if json else stdout,
            lines=stack.enter_context(JsonLines(out)) if out else None,
            report=stack.enter_context(ReportWriter(report, worker.settings)) if report else None,
            json=json,
        )
        bar = stack.enter_context(progress_bar(stderr, shown))
        task = bar.add_task("", total=documents)
        for outcome in _stopping(read, stack):
            outputs.take(outcome)
            bar.update(task, advance=1, description=_escaped(Path(outcome.file).name))
    written = [str(path) for path in (out, report) if path]
    summary = outputs.tally.line(time.perf_counter() - started)
    stderr.print(summary + (f"; wrote {', '.join(written)}" if written else ""), soft_wrap=True, markup=False)
    return outputs.tally


def _stopping(outcomes: Iterator[Outcome], stack: ExitStack) -> Iterator[Outcome]:
    close = getattr(outcomes, "close", None)
    if close is not None:
        stack.callback(close)  # Ctrl-C must stop the processes before the outputs are closed
    return outcomes


def outcome_json(outcome: Outcome) -> Json:
    """Return the JSON line of one outcome."""
    if outcome.result is None or outcome.schema is None:
        return failure_json(outcome.file, outcome.error or "unknown", outcome.error_kind)
    return result_json(outcome.file, outcome.result, outcome.schema)


def _escaped(text: str) -> str:
    return escape(printable(text))
