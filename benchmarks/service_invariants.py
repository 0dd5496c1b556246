"""What must hold of every job after any fault: it has ended, once, and has one result that can be read.

For tests and benchmarks that kill, cut and fill up things. Changes nothing; the service must be at rest.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.store_indexes import index_problems
from router.errors import BlobError
from workers.blobs import Blobs
from workers.jobs import Event, Job
from workers.store import READABLE, Store

ENDINGS = ("finished", "failed", "cancelled", "dead", "recovered")
ENDS_OF_ATTEMPTS = {*ENDINGS, "advanced", "retried", "expired"}
_CREATIONS = {"created", "recovered"}
_BATCH = 500


@dataclass(frozen=True)
class Place:
    """Where to look: the store, its server and key prefix, the blobs and the local folder in which they lie."""

    store: Store
    client: Any
    prefix: str
    blobs: Blobs
    folder: Path


def service_problems(
    place: Place, expected: int | None = None, max_attempts: int = 3, lost_master: bool = False
) -> list[str]:
    """Return in words whatever is wrong, nothing when all is well; `expected`: how many jobs there must be.

    With `lost_master`, readings that nobody used are no fault: the end of the step that made them may have gone with
    the master, and they go with their age.
    """
    jobs = list(all_jobs(place.store))
    problems = [] if expected is None or len(jobs) == expected else [f"{len(jobs)} jobs, not {expected}"]
    results, left = blobs_by_job(place.folder, "results"), blobs_by_job(place.folder, "extractions")
    for job in jobs:
        events = place.store.events(job.id)
        found = [*_log_problems(job, events, max_attempts), *_result_problems(place, job, results.pop(job.id, []))]
        # the one that was used stays where its worker was killed as the job ended, until it is purged by age
        if (
            not lost_master
            and job.state in READABLE
            and (unused := set(left.get(job.id, [])) - {job.data.get("extraction")})
        ):
            found.append(f"readings of a job that has its result: {sorted(unused)}")
        problems += [f"{job.id} ({job.state}): {problem}" for problem in found]
    problems += [f"results of no job: {sorted(results)[:5]}"] if results else []
    return problems + index_problems(place.client, place.prefix)


def all_jobs(store: Store) -> Iterator[Job]:
    """Yield every job."""
    offset = 0
    while jobs := store.jobs(order="oldest", limit=_BATCH, offset=offset):
        yield from jobs
        offset += _BATCH


def blobs_by_job(folder: Path, kind: str) -> dict[str, list[str]]:
    """Return the names of a kind's blobs by the job that they belong to."""
    found: dict[str, list[str]] = {}
    for path in sorted((folder / kind).glob("*.json")):
        found.setdefault(path.name.partition(".")[0], []).append(f"{kind}/{path.name}")
    return found


def _log_problems(job: Job, events: Sequence[Event], max_attempts: int) -> Iterator[str]:
    kinds = Counter(event.kind for event in events)
    if not job.is_final:
        yield f"not ended, in {job.stage}; {[event.kind for event in events]}"
        return
    if not events or events[0].kind not in _CREATIONS or kinds["created"] + kinds["recovered"] != 1:
        yield "its log does not begin with the one creation"
    endings = [event.kind for event in events if event.kind in ENDINGS]
    if len(endings) - kinds["revived"] != 1:
        yield f"it ended {len(endings)} times: {endings}"
    if endings[-1:] != ["recovered"] and (job.state in READABLE) != (endings[-1:] == ["finished"]):
        yield f"its log ends with {endings[-1:]}"
    yield from _attempt_problems(events, max_attempts)


def _attempt_problems(events: Sequence[Event], max_attempts: int) -> Iterator[str]:
    """Every attempt that began has an end in the log before the next, and there were not too many."""
    running = False
    for event in events:
        if event.kind == "started":
            if running:
                yield f"an attempt at {event.stage} began while another ran"
            if event.attempt > max_attempts and "exhausted" not in event.detail:
                yield f"attempt {event.attempt} of {max_attempts} at {event.stage}"
            running = True
        elif event.kind in ENDS_OF_ATTEMPTS:
            running = False
    if running:
        yield "an attempt has no end in the log"


def _result_problems(place: Place, job: Job, results: Sequence[str]) -> Iterator[str]:
    named = [job.result_blob] if job.result_blob else []
    if (job.state in READABLE) != bool(named):
        yield f"it names {named} as its result"
    if list(results) != named:
        yield f"it names {named} and has {list(results)}"
    for blob in named:
        try:
            value = place.blobs.get_json(blob)
        except BlobError as exc:
            yield f"its result cannot be read: {exc}"
        else:
            if value["job_id"] != job.id or value["status"] != job.state:
                yield f"its result says {value['job_id']}, {value['status']}"
