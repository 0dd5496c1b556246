"""`docroute recover`: jobs made anew after the broker came back empty. Knows what is shown, not how it is done."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from router.errors import SettingsError
from workers.console import output_console, plain_table, printable, progress_bar
from workers.jsonl import dump_line
from workers.settings import Settings, load_settings

if TYPE_CHECKING:
    from workers.recovery import Recovered, Recovery

_TOLD = {
    "ended": "are there again as they had ended; their webhooks are sent, with the same event ids",
    "again": "had not ended and wait for intake again",
    "known": "were known to the broker",
    "over": "had ended longer ago than service.retention.finished_s and stay gone",
    "lost": "failed, for their document is gone too",
    "damaged": "could not be recovered: what was written of them cannot be read",
}
_BAD = {"lost", "damaged"}
_MOST_NAMED = 20


def recover(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
    accept: Annotated[
        bool, typer.Option("--accept", help="Make no job: take the broker as it is, and let old blobs go in time.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="JSON lines on stdout: jobs, then a summary.")] = False,
    progress: Annotated[
        bool | None, typer.Option("--progress/--no-progress", help="Bar on stderr; default on a terminal only.")
    ] = None,
) -> None:
    """Make the jobs of a broker that came back empty anew, from what lies in the blobs.

    Jobs that had ended are there again with their results; the others are read again, under their old ids. It may run
    while workers work, and more than once. What was sent as a message and not accepted yet is not in the blobs: its
    sender must send it again.

    Exit code: 0, 1 some could not be recovered, 2 wrong usage, 3 no broker.
    """
    if dry_run and accept:
        raise SettingsError("--accept does what --dry-run would only say; leave one of them out")
    with _recovery(load_settings(), dry_run) as recovery:
        if accept:
            recovery.accept()
            print("broker and blobs belong together from now on; no job was made")
            return
        counts = _run(recovery, json, progress)
    _summary(counts, json, dry_run)
    if _BAD & {outcome for outcome, count in counts.items() if count}:
        raise typer.Exit(1)


@contextmanager
def _recovery(settings: Settings, dry: bool) -> Iterator[Recovery]:
    from workers.app import make_app
    from workers.blobs import make_blobs
    from workers.publish import publish
    from workers.recovery import Recovery
    from workers.store_redis import make_store

    service = settings.service
    with closing(make_store(service)) as store, closing(make_app(settings)) as app:
        blobs = make_blobs(service.blobs)
        yield Recovery(store, blobs, lambda job: publish(app, store, job), service.retention.finished_s, dry)


def _run(recovery: Recovery, json: bool, progress: bool | None) -> Counter[str]:
    stderr = Console(stderr=True)
    shown = stderr.is_terminal if progress is None else progress
    counts: Counter[str] = Counter()
    with progress_bar(stderr, shown, "recovering") as bar:
        task = bar.add_task("", total=recovery.total() if shown else None)
        for job in recovery.run():
            counts[job.outcome] += 1
            bar.update(task, advance=1)
            _tell(job, counts, json, stderr)
    return counts


def _tell(job: Recovered, counts: Counter[str], json: bool, stderr: Console) -> None:
    if json and job.outcome != "known":
        print(dump_line({"kind": "job"} | job.model_dump(mode="json")))
    elif job.outcome in _BAD and counts[job.outcome] <= _MOST_NAMED:
        stderr.print(printable(f"{job.job_id}: {job.detail}"), soft_wrap=True, markup=False)


def _summary(counts: Counter[str], json: bool, dry_run: bool) -> None:
    if json:
        print(dump_line({"kind": "summary", "dry_run": dry_run} | {name: counts[name] for name in _TOLD}))
        return
    table = plain_table()
    table.add_column("jobs", justify="right")
    table.add_column("")
    for name, told in _TOLD.items():
        if counts[name]:
            table.add_row(f"{counts[name]:,}", told)
    stdout = output_console()
    if table.row_count:
        stdout.print(table)
    stdout.print("[dim]nothing was changed[/dim]" if dry_run else "broker and blobs belong together")
