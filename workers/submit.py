"""The client of the service: documents in, jobs and results out. Knows store, blobs and messages, no terminal.

    with Client() as client:
        job_id = client.submit("receipt.jpg", schema="receipt").job_id
        client.wait([job_id], timeout_s=60)
        print(client.result(job_id)["fields"]["total_amount"]["value"])

It needs the broker and the blobs that the workers use. A program that has the broker only sends `docroute.submit`
messages instead, from any language that speaks Celery.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Unpack

from celery import Celery

from router.documents import check_bytes, read_bytes
from router.errors import (
    BlobError,
    BusyError,
    CallbackError,
    ConflictError,
    DocumentError,
    NoResultError,
    SourceError,
    UnknownJobError,
)
from workers.app import make_app
from workers.backpressure import IntakeLimit
from workers.blobs import Blobs, document_id_of, make_blobs
from workers.epoch import EpochWatch, loss_of
from workers.following import as_finished, follow, patiently, unknown_jobs
from workers.job_record import keep_end, keep_request
from workers.jobs import Event, Job, JobSpec, State
from workers.publish import publish
from workers.request import Request
from workers.schemas import find_schema
from workers.serialise import Json
from workers.settings import Settings, load_settings
from workers.sources import fetch
from workers.store import Store
from workers.store_redis import make_store
from workers.submission import MAX_URI_CHARS, NO_DOCUMENT, Submission, asked_for, identify, read_submission
from workers.submitted import Options, Source, Submitted, is_uri, source_name
from workers.webhooks import check_callback

__all__ = ["Client", "Options", "Source", "Submitted", "is_uri", "source_name", "with_broker"]


class Client:
    """Submits documents and gives their results. Safe for threads; not to be used after a fork.

    Every method may raise `StoreError` when the broker cannot be reached.
    """

    def __init__(self, settings: Settings | str | None = None, store: Store | None = None) -> None:
        """Make a client of the settings of this process, or of others; a string is the broker's URL in their place."""
        given = settings if isinstance(settings, Settings) else load_settings()
        self.settings = with_broker(given, settings) if isinstance(settings, str) else given
        self.store = store or make_store(self.settings.service)
        self._intake = IntakeLimit(self.store, self.settings.service.load.intake_limit)

    @cached_property
    def blobs(self) -> Blobs:
        """Where originals and results lie."""
        return make_blobs(self.settings.service.blobs)

    @cached_property
    def _epoch(self) -> EpochWatch:
        watch = EpochWatch(self.store, self.blobs)
        watch.look()
        return watch

    @cached_property
    def _app(self) -> Celery:
        return make_app(self.settings)

    # -- in
    def submit(
        self, source: Source, *, job_id: str | None = None, name: str | None = None, **options: Unpack[Options]
    ) -> Submitted:
        """Return the job of a document: a path, its bytes, or a URI that the settings allow to fetch.

        The same document with the same schema and tier is the same job, unless `force` makes a new one; `job_id` names
        the job yourself. `name` is what the result calls the document. Errors: `ConflictError` (`job_id` is that of
        another document, schema or tier), `BusyError` (too much waits; it says when to come back), `DocumentError` (no
        such file, too large), `SourceError` (URI not allowed, wrong argument), `SchemaError`, `CallbackError`,
        `BlobError` (disk full), `UnconfirmedError` (too few replicas have it yet; the same call may be repeated).
        """
        submission = self._with_uri(self.check(job_id, options), source)
        return self._submit(submission, source, name or source_name(source), _nonce(options))

    def submit_many(
        self,
        sources: Iterable[Source],
        *,
        on_busy: Callable[[BusyError], None] = lambda busy: None,
        job_id: str | None = None,
        **options: Unpack[Options],
    ) -> Iterator[Submitted]:
        """Yield what became of each source, in order; takes the options of `submit`, `job_id` for a single source only.

        A source that cannot be read or stored is given with its error, and the others go on. While the service is
        busy it waits, and tells `on_busy` so; a broker that restarts meanwhile may be away for a minute.
        """
        self.check(job_id, options)
        self.store.now()  # a broker that is not there at all is told at once
        for source in sources:
            yield self._submit_patiently(source, on_busy, job_id, options)

    def check(self, job_id: str | None, options: Options) -> Submission:
        """Return the checked options of a submission; raise `SourceError`, `SchemaError` or `CallbackError`."""
        if options.get("force") and job_id is not None:
            raise SourceError("force makes a job with a new id, so job_id cannot be given with it")
        service, callback_url = self.settings.service, options.get("callback_url")
        if callback_url is not None:
            check_callback(callback_url, service.webhooks)
        arguments: dict[str, Any] = {key: value for key, value in options.items() if key not in {"force", "metadata"}}
        arguments["metadata"] = dict(options.get("metadata") or {})
        submission = read_submission(arguments | {"blob": NO_DOCUMENT, "job_id": job_id})
        find_schema(submission.schema_name, service.schemas)
        return submission

    def _submit_patiently(
        self, source: Source, on_busy: Callable[[BusyError], None], job_id: str | None, options: Options
    ) -> Submitted:
        nonce = _nonce(options)  # one for all tries, of which the first may have made the job

        def try_once() -> Submitted:
            submission = self._with_uri(self.check(job_id, options), source)
            return self._submit(submission, source, source_name(source), nonce)

        while True:
            try:
                return patiently(try_once)
            except BusyError as exc:
                on_busy(exc)
                time.sleep(exc.retry_after_s)
            except (DocumentError, SourceError, BlobError, ConflictError, CallbackError) as exc:
                return Submitted(source_name(source), error=exc)

    def _with_uri(self, submission: Submission, source: Source) -> Submission:
        uri = source if isinstance(source, str) and is_uri(source) else None
        return submission.model_copy(update={"uri": uri, "blob": None})

    def _submit(self, submission: Submission, source: Source, name: str, nonce: str) -> Submitted:
        named = name[-MAX_URI_CHARS:]
        return self._known(submission, named) or self._made(submission, source, named, nonce)

    def _known(self, submission: Submission, name: str) -> Submitted | None:
        """Return the job of an id under which just this URI was submitted before: it is not fetched again."""
        if submission.job_id is None or submission.uri is None:
            return None
        spec = submission.spec(NO_DOCUMENT)
        request = asked_for(submission, spec, self.settings.service.schemas, fetched=False)
        job = self.store.join(submission.job_id, spec, request)
        return None if job is None else self._there(job, name)

    def _made(self, submission: Submission, source: Source, name: str, nonce: str) -> Submitted:
        self._intake.enter()
        data = self._read(source)
        spec = submission.spec(document_id_of(data)).model_copy(update={"uri": name})
        schemas = self.settings.service.schemas
        request = asked_for(submission, spec, schemas)
        if submission.job_id is not None:
            job = self.store.join(submission.job_id, spec, request)
            if job is not None:
                return self._there(job, name)
        self.blobs.put_original(data)
        return self._create(identify(submission, spec, schemas, nonce), spec, request)

    def _there(self, job: Job, name: str) -> Submitted:
        keep_request(self.blobs, job, new=False)
        self.store.confirm(job.id)
        return Submitted(name, job.id, job.state, new=False)

    def _create(self, job_id: str, spec: JobSpec, request: Request) -> Submitted:
        _ = self._epoch
        job, new = self.store.create(job_id, spec, request)
        keep_request(self.blobs, job, new)
        self.store.confirm(job_id)
        if new:
            publish(self._app, self.store, job)  # without a message it is found by the sweeper
        return Submitted(spec.uri, job.id, job.state, new)

    def _read(self, source: Source) -> bytes:
        limits = self.settings.limits
        if isinstance(source, bytes):
            check_bytes(len(source), limits)
            return source
        if isinstance(source, str) and is_uri(source):
            return fetch(source, self.settings.service.sources, limits)
        return read_bytes(Path(source), limits)

    # -- out
    def job(self, job_id: str) -> Job:
        """Return a job as it is now; raise `UnknownJobError`."""
        job = self.store.get(job_id)
        if job is None:
            raise self._unknown(unknown_jobs([job_id]))
        return job

    def events(self, job_id: str) -> list[Event]:
        """Return a job's log, oldest first; raise `UnknownJobError`."""
        self.job(job_id)
        return self.store.events(job_id)

    def wait(self, job_ids: Iterable[str], timeout_s: float | None = None) -> dict[str, Job]:
        """Return jobs by id when all have ended, or as they are after `timeout_s`; `job.is_final` tells which."""
        ids = list(job_ids)
        ended = {job.id: job for job in self.as_finished(ids, timeout_s)}
        ended |= self.store.get_many([job_id for job_id in ids if job_id not in ended])
        return {job_id: ended[job_id] for job_id in ids if job_id in ended}

    def as_finished(self, job_ids: Iterable[str], timeout_s: float | None = None) -> Iterator[Job]:
        """Yield each job as it ends, until all have or `timeout_s` is over; raise `UnknownJobError`."""
        try:
            yield from as_finished(self.store, job_ids, _until(timeout_s))
        except UnknownJobError as exc:
            raise self._unknown(str(exc)) from exc

    def finished(self, since: float | None = None, timeout_s: float | None = None) -> Iterator[Job]:
        """Yield every job of the service as it ends, for `timeout_s` or for ever; with 0 those that have ended.

        `since`: from which end on, in seconds since the epoch by the store's clock (`job.finished_at`); None is now.
        """
        return follow(self.store, self.store.now() if since is None else since, _until(timeout_s))

    def result(self, job: str | Job) -> Json:
        """Return a finished job's result as JSON values.

        Errors: `UnknownJobError`, `NoResultError` (not ended yet, failed, cancelled), `BlobError`.
        """
        found = job if isinstance(job, Job) else self.job(job)
        if found.result_blob is not None and found.is_final:
            value: Json = self.blobs.get_json(found.result_blob)
            return value
        if not found.is_final:
            raise NoResultError(f"job {found.id} has no result yet: it is {found.state} in {found.stage}")
        reason = f": {found.error}" if found.error else ""
        raise NoResultError(f"job {found.id} has no result, it {_ENDS.get(found.state, 'ended')}{reason}")

    def cancel(self, job_id: str) -> State:
        """Return the job's state after cancelling it: `cancelled`, or the final one it had; raise `UnknownJobError`."""
        state = self.store.cancel(job_id)
        if state is None:
            raise self._unknown(unknown_jobs([job_id]))
        if state == "cancelled":  # a dead letter may still be tried again
            keep_end(self.blobs, self.store.get(job_id))
        return state

    def _unknown(self, told: str) -> UnknownJobError:
        return UnknownJobError(f"{told}{loss_of(self.store, lambda: self.blobs)}")

    def close(self) -> None:
        """Close the connections."""
        self.store.close()
        if "_app" in self.__dict__:
            self._app.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


_ENDS = {"failed": "failed", "cancelled": "was cancelled"}


def _nonce(options: Options) -> str:
    return secrets.token_hex(8) if options.get("force") else ""


def with_broker(settings: Settings, url: str) -> Settings:
    """Return settings with another broker's URL."""
    broker = settings.service.broker.model_copy(update={"url": url})
    return settings.model_copy(update={"service": settings.service.model_copy(update={"broker": broker})})


def _until(timeout_s: float | None) -> float | None:
    return None if timeout_s is None else time.monotonic() + timeout_s
