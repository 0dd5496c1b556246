"""Where the results of jobs go: JSON lines, tables on the terminal, a file. Knows jobs and outputs, no broker."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from rich.console import Console

from router.errors import BlobError, DocrouteError, JobError
from workers.console import UNCALIBRATED_NOTE, Tally, result_table
from workers.job_view import escaped
from workers.jobs import Job
from workers.jsonl import JsonLines, dump_line
from workers.serialise import Json, failure_json

TABLES_SHOWN = 20


@dataclass
class JobOutputs:
    """Takes jobs that have ended; `stdout` is None where the terminal gets no tables."""

    stderr: Console
    stdout: Console | None
    lines: JsonLines | None
    json: bool
    tally: Tally = field(default_factory=Tally)

    def take(self, job: Job, line: Json) -> None:
        """Write and show one job's line."""
        self.tally.add_line(line)
        if self.lines:
            self.lines.write(line)
        if self.json:
            print(dump_line(line), flush=True)
        if "error" in line:
            word = "cancelled" if line["status"] == "cancelled" else "failed"
            told = f"{escaped(line['file'])}: {escaped(line['error']['message'])}"
            self.stderr.print(f"[red]{word}[/red] {told} [dim](job {job.id})[/dim]", soft_wrap=True)
        elif self.stdout and self.tally.documents <= TABLES_SHOWN:
            self.stdout.print(result_table(line, sum(line["elapsed_ms"].values()) / 1000))
            if self.tally.is_first_uncalibrated(line):
                self.stdout.print(UNCALIBRATED_NOTE)
            self.stdout.print()
        elif self.stdout and self.tally.documents == TABLES_SHOWN + 1:
            self.stdout.print("[dim]… more documents, not shown here; --out holds all of them[/dim]")


def job_line(job: Job, read: Callable[[Job], Json]) -> Json:
    """Return the JSON line of a job that has ended; `read` gives its result or raises.

    A job without a result has the form of a document that could not be read, with the job's state as its status.
    """
    try:
        return read(job)
    except (JobError, BlobError) as exc:
        return failed_line(job, exc)


def failed_line(job: Job, exc: DocrouteError) -> Json:
    """Return the line of a job without a result."""
    message = job.error if job.state == "failed" and job.error else str(exc)
    status = "cancelled" if job.state == "cancelled" else "failed"
    of_job = {"job_id": job.id, "metadata": dict(job.spec.metadata), "status": status}
    return failure_json(job.spec.uri or job.spec.document_id, message, type(exc).__name__) | of_job
