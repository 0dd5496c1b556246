"""Store and blobs compared both ways, and what can be repaired repaired. Knows no broker's queue and no terminal.

A job may move while it is looked at, and a step writes its blob before the store knows of it. So what seems wrong with
a job is looked at twice, and a young blob is left alone. In memory lie one batch of jobs and eight bytes (as Python has
them, sixty) of each job's document.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import islice

from router.errors import BlobError, BlobMissingError, PurgeRefusedError
from workers.blobs import EXTRACTIONS, ORIGINALS, RESULTS, Blobs, original_blob
from workers.clocks import trusted_now
from workers.deep_findings import Findings, Kind
from workers.epoch import epoch_problem
from workers.job_record import REQUESTS, keep_request, read_record, record_blob, record_of_result
from workers.jobs import Job
from workers.retention import job_of
from workers.service_settings import RetentionSettings
from workers.store import Store

YOUNG_S = 3600.0
_BATCH = 500


class DeepCheck:
    """One comparison; `repair`: mend what can be mended."""

    def __init__(self, store: Store, blobs: Blobs, retention: RetentionSettings, repair: bool = False) -> None:
        self._store = store
        self._blobs = blobs
        self._finished_s = retention.finished_s
        self._repair = repair
        self._documents: set[int] = set()
        self.findings = Findings()

    def total(self) -> int:
        """Return how many jobs and blobs there are to look at."""
        kinds = (ORIGINALS, RESULTS, EXTRACTIONS, REQUESTS)
        return sum(self._store.counts().values()) + sum(1 for kind in kinds for _ in self._blobs.stamped(kind))

    def run(self) -> Iterator[None]:
        """Yield after each job and blob; raise `PurgeRefusedError` where store and blobs do not fit together."""
        now = trusted_now(self._store, self._blobs)
        if problem := epoch_problem(self._store, self._blobs):
            raise PurgeRefusedError(problem)
        looks: tuple[tuple[str, Callable[[str, Job | None, float], None]], ...] = (
            (RESULTS, self._look_at_result),
            (EXTRACTIONS, self._look_at_extraction),
            (REQUESTS, self._look_at_request),
        )
        yield from self._jobs()
        for kind, look in looks:
            yield from self._blobs_of_jobs(kind, look, now)
        yield from self._originals(now)
        self.findings.looked["in the trash"] += sum(1 for _ in self._blobs.trashed())

    # -- from the store to the blobs
    def _jobs(self) -> Iterator[None]:
        offset = 0
        while offset < sum(self._store.counts().values()):  # a part may be empty: expired ones are passed over
            jobs = self._store.jobs(limit=_BATCH, offset=offset)
            offset += _BATCH
            for job in jobs:
                self._look_at_job(job)
                self.findings.looked["jobs"] += 1
                yield

    def _look_at_job(self, job: Job) -> None:
        self._documents.add(_short(job.spec.document_id))
        if not job.is_final:
            self._look_for(job, original_blob(job.spec.document_id), "original_trashed", "original_gone")
            if self._blobs.place_of(record_blob(job.id)) != "here" and self._is_still(job):
                self._found("request_gone", job.id, lambda: self._write_down(job))
        elif job.result_blob:
            self._look_for(job, job.result_blob, "result_trashed", "result_gone")

    def _look_for(self, job: Job, blob: str, trashed: Kind, gone: Kind) -> None:
        place = self._blobs.place_of(blob)
        if place == "here" or not self._is_still(job):
            return
        if place == "trash":
            self._found(trashed, job.id, lambda: self._blobs.has(blob))
        else:
            self._found(gone, job.id, lambda: gone == "result_gone" and self._read_again(job, blob))

    def _is_still(self, job: Job) -> bool:
        """Return whether a job is as it was when it was listed."""
        now = self._store.get(job.id)
        return now is not None and (now.state, now.stage, now.result_blob) == (job.state, job.stage, job.result_blob)

    def _read_again(self, job: Job, blob: str) -> bool:
        if not self._blobs.has_original(job.spec.document_id):
            return False
        return self._store.read_again(job.id, f"its result {blob} was gone or damaged")

    def _write_down(self, job: Job) -> bool:
        keep_request(self._blobs, job, new=True)
        return True

    # -- from the blobs to the store
    def _blobs_of_jobs(self, kind: str, look: Callable[[str, Job | None, float], None], now: float) -> Iterator[None]:
        stamped = self._blobs.stamped(kind)
        while part := list(islice(stamped, _BATCH)):
            jobs = self._store.get_many(list({job_of(blob) for blob, _ in part}))
            for blob, put_at in part:
                look(blob, jobs.get(job_of(blob)), now - put_at)
                self.findings.looked[kind] += 1
                yield

    def _look_at_result(self, blob: str, job: Job | None, age_s: float) -> None:
        if job is not None and job.result_blob == blob:
            if self._is_damaged(blob, job.id):
                self._found("result_damaged", job.id, lambda: self._read_again(job, blob))
        elif age_s > YOUNG_S and job is not None:
            self._found("left_over", blob, lambda: self._blobs.throw_away(blob))
        elif self._is_lost(job, age_s) and self._blobs.place_of(record_blob(job_of(blob))) != "here":
            self._found("job_unknown", job_of(blob), None)  # those with a record are counted by that

    def _is_damaged(self, blob: str, job_id: str) -> bool:
        try:
            return record_of_result(self._blobs, blob, None).job_id != job_id
        except BlobMissingError:  # it went a moment ago
            return False
        except BlobError:
            return True

    def _look_at_extraction(self, blob: str, job: Job | None, age_s: float) -> None:
        may_go_on = job is not None and (not job.is_final or job.state == "failed")  # a dead letter may be revived
        needed = job is not None and may_go_on and job.data.get("extraction") == blob
        if not needed and age_s > YOUNG_S:
            self._found("left_over", blob, lambda: self._blobs.throw_away(blob))

    def _look_at_request(self, blob: str, job: Job | None, age_s: float) -> None:
        try:
            record = read_record(self._blobs, blob)
        except BlobMissingError:
            return
        except BlobError:
            self._found("request_damaged", blob, (lambda: self._write_down(job)) if job else None)
            return
        if self._is_lost(job, age_s):
            self._found("job_unknown", record.job_id, None)

    def _is_lost(self, job: Job | None, age_s: float) -> bool:
        """Return whether a job is unknown though its retention cannot have ended."""
        return job is None and YOUNG_S < age_s < self._finished_s

    def _originals(self, now: float) -> Iterator[None]:
        for blob, put_at in self._blobs.stamped(ORIGINALS):
            self._look_at_original(blob, now - put_at)
            self.findings.looked[ORIGINALS] += 1
            yield

    def _look_at_original(self, blob: str, age_s: float) -> None:
        document_id = blob.rpartition("/")[2]
        if not _is_original(blob):
            self._found("strange_name", blob, None)
            return
        try:
            self._blobs.open_original(document_id)
        except BlobMissingError:  # it went a moment ago
            return
        except BlobError:
            self._found("original_damaged", document_id, None)
            return
        if age_s > YOUNG_S and _short(document_id) not in self._documents:
            self.findings.looked["originals of no job"] += 1

    def _found(self, kind: Kind, name: str, mend: Callable[[], bool] | None) -> None:
        repaired = False
        if self._repair and mend is not None:
            with suppress(BlobError):
                repaired = mend()
        self.findings.add(kind, name, repaired)


def _is_original(blob: str) -> bool:
    try:
        return blob == original_blob(blob.rpartition("/")[2])
    except BlobMissingError:
        return False


def _short(document_id: str) -> int:
    return int(document_id[:16], 16)
