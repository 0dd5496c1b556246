"""`docroute status|result|wait|cancel|list`: jobs of the service. Knows the terminal; the work is done by `submit`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import ExitStack
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from router.errors import SettingsError
from workers.cli_wait import wait_for
from workers.console import output_console, printable
from workers.epoch import loss_of
from workers.following import BATCH, unknown_jobs
from workers.job_outputs import JobOutputs, job_line
from workers.job_view import job_detail, job_json, jobs_table
from workers.jobs import Job, State
from workers.jsonl import JsonLines, dump_line
from workers.paths import STDIN

if TYPE_CHECKING:
    from workers.submit import Client

Ids = Annotated[
    list[str], typer.Argument(help="Jobs, or - for a list on stdin (the first word of each line).", metavar="ID")
]
AsJson = Annotated[bool, typer.Option("--json", help="JSON lines on stdout.")]


class StateOption(StrEnum):
    """Values of `--state`."""

    received = "received"
    routed = "routed"
    extracting = "extracting"
    escalated = "escalated"
    done = "done"
    done_with_gaps = "done_with_gaps"
    needs_review = "needs_review"
    failed = "failed"
    cancelled = "cancelled"


class QueueOption(StrEnum):
    """Values of `--queue`."""

    intake = "intake"
    fast = "fast"
    deep = "deep"


class OrderOption(StrEnum):
    """Values of `--order`."""

    newest = "newest"
    oldest = "oldest"
    least_confident = "least_confident"


def status(ids: Ids, json: AsJson = False) -> None:
    """Show where jobs are, and what happened to them.

    [bold]Examples[/bold]

      docroute status 4f1c                state, stage, attempts and the whole log

      docroute status 4f1c 77ab           a line for each

      docroute status 4f1c --json         with the log, for programs

    Exit code: 0, 1 for a job that is not there, 3 no broker.
    """
    from workers.submit import Client

    stderr = Console(stderr=True, highlight=False)
    with Client() as client:
        listed = _listed(ids)
        found = _known(client, listed, stderr)
        if json:
            for job in found:
                print(dump_line(job_json(job, client.store.events(job.id))), flush=True)
        elif len(found) == 1:
            output_console().print(job_detail(found[0], client.store.events(found[0].id)))
        elif found:
            output_console().print(jobs_table(found, client.store.now()))
    _exit(len(found) < len(listed))


def result(
    ids: Ids,
    out: Annotated[Path | None, typer.Option(help="Write them as JSON lines.")] = None,
    json: AsJson = False,
) -> None:
    """Show the results of jobs that have ended.

    [bold]Examples[/bold]

      docroute result 4f1c                a table

      docroute result 4f1c --json         all of it: places, candidates, reasons

    Exit code: 0, 1 for a job without a result (not there, not ended, failed, cancelled), 3 no broker.
    """
    from workers.submit import Client

    stderr = Console(stderr=True, highlight=False)
    with Client() as client, ExitStack() as stack:
        lines = stack.enter_context(JsonLines(out)) if out else None
        outputs = JobOutputs(stderr, None if json else output_console(), lines, json)
        listed = _listed(ids)
        for job in _known(client, listed, stderr):
            if job.is_final:
                outputs.take(job, job_line(job, client.result))
            else:
                told = f"job {job.id} has not ended, it is {job.state} in {job.stage}; docroute wait {job.id}"
                stderr.print(told, soft_wrap=True, markup=False)
    read = outputs.tally.documents - outputs.tally.failed
    _exit(read < len(listed))


def wait(
    ids: Ids,
    timeout: Annotated[float | None, typer.Option(help="Give up after so many seconds.", min=0)] = None,
    out: Annotated[Path | None, typer.Option(help="Write the results as JSON lines.")] = None,
    json: AsJson = False,
    progress: Annotated[
        bool | None,
        typer.Option("--progress/--no-progress", help="Progress bar on stderr; default on a terminal only."),
    ] = None,
) -> None:
    """Wait for jobs and show their results as they end.

    [bold]Examples[/bold]

      docroute wait 4f1c 77ab

      docroute submit scans/ > jobs.txt; docroute wait - --json < jobs.txt

    Exit code: 0 all read, 1 some failed, were cancelled, are not there or have not ended in time, 3 no broker.
    """
    from workers.submit import Client

    stderr = Console(stderr=True, highlight=False)
    shown = stderr.is_terminal if progress is None else progress
    with Client() as client:
        listed = _listed(ids)
        known = [job.id for job in _known(client, listed, stderr)]
        tally = wait_for(client, known, stderr, shown, out, json, timeout)
    _exit(bool(tally.failed) or len(known) < len(listed))


def cancel(ids: Ids) -> None:
    """Cancel jobs: one that waits is never begun, what a worker has begun is thrown away.

    Exit code: 0, 1 for a job that is not there or had ended before, 3 no broker.
    """
    from workers.submit import Client

    stderr = Console(stderr=True, highlight=False)
    with Client() as client:
        listed = _listed(ids)
        states = {job.id: client.cancel(job.id) for job in _known(client, listed, stderr)}
    for job_id, state in states.items():
        print(printable(f"{job_id}  {state if state == 'cancelled' else f'had ended before: {state}'}"))
    _exit(len(states) < len(listed) or any(state != "cancelled" for state in states.values()))


def list_jobs(
    state: Annotated[StateOption | None, typer.Option(help="Only jobs in this state.")] = None,
    queue: Annotated[QueueOption | None, typer.Option(help="Only jobs that wait for or are in this stage.")] = None,
    order: Annotated[
        OrderOption, typer.Option(help="By creation, or finished jobs by their lowest confidence.")
    ] = OrderOption.newest,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="At most so many.")] = 20,
    json: AsJson = False,
) -> None:
    """List jobs of the service.

    [bold]Examples[/bold]

      docroute list                       the newest

      docroute list --state needs_review --order least_confident

      docroute list --queue deep --order oldest

      docroute list --state failed --json --limit 1000 | jq -r .id

    Exit code: 0, 2 wrong usage, 3 no broker.
    """
    if state is not None and queue is not None:
        raise SettingsError(
            "--state and --queue exclude each other: a job that waits for a stage has that stage's state"
        )
    if order is OrderOption.least_confident and queue is not None:
        raise SettingsError("--order least_confident lists finished jobs; leave --queue out")
    from workers.submit import Client

    with Client() as client:
        chosen: State | None = state.value if state else None
        found = client.store.jobs(chosen, queue.value if queue else None, order.value, limit)
        now = client.store.now()
    if json:
        for job in found:
            print(dump_line(job_json(job)), flush=True)
    elif found:
        output_console().print(jobs_table(found, now))
    else:
        Console(stderr=True).print("[dim]no such jobs[/dim]")


def _listed(ids: Sequence[str]) -> list[str]:
    """Return the ids, once each, with those of stdin in place of `-`."""
    found: dict[str, None] = {}
    for job_id in ids:
        if job_id == STDIN:
            found.update((words[0], None) for line in sys.stdin if (words := line.split()))
        else:
            found[job_id] = None
    if not found:
        raise SettingsError("no job named on stdin")
    return list(found)


def _known(client: Client, ids: Sequence[str], stderr: Console) -> list[Job]:
    """Return those jobs that are there, and name the others."""
    jobs: dict[str, Job] = {}
    for first in range(0, len(ids), BATCH):
        jobs |= client.store.get_many(ids[first : first + BATCH])
    for job_id in ids:
        if job_id not in jobs:
            told = unknown_jobs([job_id]) + loss_of(client.store, lambda: client.blobs)
            stderr.print(printable(told), soft_wrap=True, markup=False)
    return [jobs[job_id] for job_id in ids if job_id in jobs]


def _exit(failed: bool) -> None:
    if failed:
        raise typer.Exit(1)
