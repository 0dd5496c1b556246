"""Waiting for jobs on the terminal, for `docroute submit --wait` and `docroute wait`. Knows outputs, no message."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from router.errors import UnknownJobError
from workers.console import Tally, output_console, progress_bar
from workers.job_outputs import JobOutputs, job_line
from workers.job_view import document_name, escaped
from workers.jobs import Job
from workers.jsonl import JsonLines
from workers.presence import present_workers

if TYPE_CHECKING:
    from workers.submit import Client

_NEEDED = ("intake", "fast")
"""Stages without which no job gets anywhere."""


def wait_for(
    client: Client,
    job_ids: Sequence[str],
    stderr: Console,
    shown: bool,
    out: Path | None,
    json: bool,
    timeout_s: float | None = None,
) -> Tally:
    """Show and write each job's result as it ends, and return the counts; jobs that have not ended count as failed."""
    started, began_at = time.perf_counter(), client.store.now()
    ended_before = False
    stdout = output_console()
    if shown and stdout.is_terminal:
        stdout = stderr  # one terminal: tables must go above the moving bar
    _warn_of_missing_workers(client, stderr)
    with ExitStack() as stack:
        outputs = JobOutputs(
            stderr, None if json else stdout, stack.enter_context(JsonLines(out)) if out else None, json
        )
        bar = stack.enter_context(progress_bar(stderr, shown))
        task = bar.add_task("", total=len(job_ids))
        try:
            for job in _as_finished(client, job_ids, timeout_s, stderr):
                outputs.take(job, job_line(job, client.result))
                ended_before |= job.finished_at is not None and job.finished_at < began_at
                bar.update(task, advance=1, description=escaped(Path(document_name(job)).name))
        except KeyboardInterrupt:
            stderr.print("[dim]no longer waiting; the jobs go on, and docroute list shows them[/dim]")
            raise
    tally = outputs.tally
    summary = tally.line(time.perf_counter() - started, rated=not ended_before) + (f"; wrote {out}" if out else "")
    stderr.print(summary, soft_wrap=True, markup=False)
    missing = len(set(job_ids)) - tally.documents
    if missing:
        stderr.print(f"{missing} jobs have not ended (docroute list shows them)", soft_wrap=True, markup=False)
        tally.failed += missing
    return tally


def _as_finished(client: Client, job_ids: Sequence[str], timeout_s: float | None, stderr: Console) -> Iterator[Job]:
    """Yield each job as it ends; those that are not there any more are named, and the others waited for."""
    pending = dict.fromkeys(job_ids)
    until = None if timeout_s is None else time.monotonic() + timeout_s
    while pending:
        left_s = None if until is None else max(until - time.monotonic(), 0.0)
        try:
            for job in client.as_finished(list(pending), left_s):
                del pending[job.id]
                yield job
        except UnknownJobError as exc:
            stderr.print(escaped(str(exc)), soft_wrap=True)
            pending = dict.fromkeys(job_id for job_id in pending if client.store.get(job_id))
        else:
            return


def _warn_of_missing_workers(client: Client, stderr: Console) -> None:
    present = {worker.stage for worker in present_workers(client.settings.service.broker) if not worker.is_silent}
    missing = [stage for stage in _NEEDED if stage not in present]
    if missing:
        told = f"no worker serves {' and '.join(missing)}, so nothing may happen; start docroute up or docroute worker"
        stderr.print(f"[yellow]warning[/yellow] {told}", soft_wrap=True)
