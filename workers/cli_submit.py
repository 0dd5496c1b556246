"""`docroute submit`: documents to the service. Knows the terminal and the options; the work is done by `submit`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import ExitStack
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from router.errors import BusyError, SettingsError
from workers.cli_run import TierOption
from workers.cli_wait import wait_for
from workers.console import printable, progress_bar
from workers.job_view import escaped
from workers.jsonl import dump_line
from workers.paths import STDIN, find_paths
from workers.serialise import failure_json

if TYPE_CHECKING:
    from workers.submit import Client, Options, Submitted


class PriorityOption(StrEnum):
    """Values of `--priority`."""

    high = "high"
    normal = "normal"


Paths = Annotated[
    list[str],
    typer.Argument(
        help="Files, folders (searched to the bottom), quoted globs, s3: or https: URIs, or - for a list on stdin.",
        metavar="PATH",
    ),
]
Schema = Annotated[
    str, typer.Option(help="Built-in name, or that of a file in the folder [cyan]service.schemas[/cyan].")
]
Tier = Annotated[TierOption, typer.Option(help="Let each field decide (auto), or force one lane.")]
Priority = Annotated[PriorityOption, typer.Option(help="high goes before everything that waits.")]
Callback = Annotated[str | None, typer.Option(help="URL that gets a signed POST when a job has ended.", metavar="URL")]
Metadata = Annotated[
    list[str] | None,
    typer.Option(help="Your own words, given back with the result; repeat it for more.", metavar="KEY=VALUE"),
]
Wait = Annotated[bool, typer.Option("--wait", help="Wait and show the results as they come.")]
Out = Annotated[Path | None, typer.Option(help="Wait and write the results as JSON lines.")]
AsJson = Annotated[bool, typer.Option("--json", help="JSON lines on stdout instead of names or tables.")]
JobId = Annotated[str | None, typer.Option(help="Name the job of one document yourself.", metavar="ID")]
Force = Annotated[bool, typer.Option("--force", help="Read again what was submitted before.")]
ShowProgress = Annotated[
    bool | None, typer.Option("--progress/--no-progress", help="Progress bar on stderr; default on a terminal only.")
]


def submit(
    paths: Paths,
    schema: Schema = "auto",
    tier: Tier = TierOption.auto,
    priority: Priority = PriorityOption.normal,
    callback: Callback = None,
    metadata: Metadata = None,
    wait: Wait = False,
    out: Out = None,
    json: AsJson = False,
    force: Force = False,
    job_id: JobId = None,
    progress: ShowProgress = None,
) -> None:
    """Give documents to the service (`docroute up`, or workers anywhere) and print their jobs.

    The same document with the same schema and tier is the same job, however often it is submitted.

    [bold]Examples[/bold]

      docroute submit receipt.jpg --wait         show the result

      docroute submit invoices/ --out r.jsonl    a folder, results as JSON lines

      docroute submit 'scans/*.pdf' > jobs.txt   a line with job and file for each

      docroute wait - --json < jobs.txt          ... and come back for the results

      docroute submit bill.pdf --priority high --metadata order=4711

    Exit code: 0 all accepted (with --wait: read), 1 some failed (each named on stderr), 2 wrong usage, 3 no broker.
    """
    options: Options = {
        "schema": schema,
        "tier": tier.value,
        "priority": priority.value,
        "callback_url": callback,
        "metadata": _metadata(metadata or ()),
        "force": force,
    }
    if _submit_and_wait(_sources(paths), job_id, options, wait, out, json, progress):
        raise typer.Exit(1)


def _submit_and_wait(
    sources: Sequence[str | Path],
    job_id: str | None,
    options: Options,
    wait: bool,
    out: Path | None,
    json: bool,
    progress: bool | None,
) -> int:
    """Return how many documents failed."""
    from workers.submit import Client

    if job_id is not None and len(sources) != 1:
        raise SettingsError(f"--job-id names the job of one document, and these are {len(sources)}")

    stderr = Console(stderr=True, highlight=False)
    shown = stderr.is_terminal if progress is None else progress
    waits = wait or out is not None
    with Client() as client:
        client.check(job_id, options)
        accepted, failed = _submit_all(client, sources, job_id, options, stderr, shown, quiet=waits, json=json)
        if waits and accepted:
            job_ids = list(dict.fromkeys(one.job_id for one in accepted))
            failed += wait_for(client, job_ids, stderr, shown, out, json).failed
    return failed


def _submit_all(
    client: Client,
    sources: Sequence[str | Path],
    job_id: str | None,
    options: Options,
    stderr: Console,
    shown: bool,
    quiet: bool,
    json: bool,
) -> tuple[list[Submitted], int]:
    """Return what was accepted, and how many were not."""
    accepted: list[Submitted] = []
    with ExitStack() as stack:
        bar = stack.enter_context(progress_bar(stderr, shown, "submitting"))
        task = bar.add_task("", total=len(sources))

        def tell_busy(busy: BusyError) -> None:
            bar.update(task, description=escaped(str(busy)))
            if not shown:
                stderr.print(f"{busy}; waiting", soft_wrap=True, markup=False)

        for one in client.submit_many(sources, on_busy=tell_busy, job_id=job_id, **options):
            bar.update(task, advance=1, description=escaped(Path(one.source).name))
            if one.error is None:
                accepted.append(one)
            else:
                told = f"{escaped(one.source)}: {escaped(' '.join(str(one.error).split()))}"
                stderr.print(f"[red]not submitted[/red] {told}", soft_wrap=True)
            if json and (one.error or not quiet):
                print(_json_line(one), flush=True)
            elif not quiet and one.error is None:
                print(printable(_line(one)), flush=True)
    new = sum(one.new for one in accepted)
    known = f", {len(accepted) - new} were there before (--force reads them again)" if new < len(accepted) else ""
    stderr.print(f"submitted {new} of {len(sources)} documents{known}", soft_wrap=True, markup=False)
    return accepted, len(sources) - len(accepted)


def _line(one: Submitted) -> str:
    note = "" if one.new else f"  (there before: {one.state})"
    return f"{one.job_id}  {one.source}{note}"


def _json_line(one: Submitted) -> str:
    if one.error is not None:
        return dump_line(failure_json(one.source, str(one.error), type(one.error).__name__))
    return dump_line({"file": one.source, "job_id": one.job_id, "state": one.state, "new": one.new})


def _sources(arguments: Sequence[str]) -> list[str | Path]:
    from workers.submit import is_uri

    lines = sys.stdin.read().splitlines() if STDIN in arguments else []
    given = [argument for argument in arguments if argument != STDIN] + [line for line in lines if line.strip()]
    uris = [argument for argument in given if is_uri(argument)]
    paths = [argument for argument in given if not is_uri(argument)]
    if not paths and uris:
        return list(uris)
    found = find_paths(paths, ())
    return [*found.paths, *uris]


def _metadata(pairs: Sequence[str]) -> dict[str, str]:
    values: dict[str, str] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise SettingsError(f"--metadata {pair!r}: write KEY=VALUE")
        values[key] = value
    return values
