"""Leases kept running while work goes on, and a deadline for it. Knows the store's leases, no step and no queue.

One thread serves all leases of a process. Work cannot be stopped from outside in a thread, so that a deadline ends the
whole process: the job's lease runs out, and it is given to another worker with its attempt counted.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from router.errors import StoreError
from workers.store import Store

EXIT_DEADLINE = 70
_RENEWALS = 3
_LOG = logging.getLogger(__name__)


@dataclass(eq=False)
class Held:
    """A lease that is kept running; `lost` is set when it has passed to another worker or the job was cancelled."""

    job_id: str
    token: int
    lease_s: float
    renew_at: float
    deadline: float | None = None
    lost: threading.Event = field(default_factory=threading.Event)


def exit_process(held: Held) -> None:
    """End this process at once, as a crash would."""
    _LOG.critical("job %s passed its time limit; this process ends, and the job is tried again", held.job_id)
    logging.shutdown()
    os._exit(EXIT_DEADLINE)


class LeaseKeeper:
    """Renews leases in one thread, which starts with the first of them.

    `each_round` is done by the same thread about every `poll_s`; it may raise `StoreError`.
    """

    def __init__(
        self,
        store: Store,
        overdue: Callable[[Held], None] = exit_process,
        poll_s: float = 0.5,
        each_round: Callable[[], None] = lambda: None,
    ) -> None:
        self._store = store
        self._each_round = each_round
        self._overdue = overdue
        self._poll_s = poll_s
        self._held: set[Held] = set()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    @contextlib.contextmanager
    def hold(self, job_id: str, token: int, lease_s: float) -> Iterator[Held]:
        """Keep a lease running while the body runs."""
        held = Held(job_id, token, lease_s, time.monotonic() + lease_s / _RENEWALS)
        with self._lock:
            self._held.add(held)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="leases", daemon=True)
                self._thread.start()
        try:
            yield held
        finally:
            with self._lock:
                self._held.discard(held)

    @staticmethod
    @contextlib.contextmanager
    def deadline(held: Held, timeout_s: float) -> Iterator[None]:
        """End the process where the body takes longer than `timeout_s`."""
        held.deadline = time.monotonic() + timeout_s
        try:
            yield
        finally:
            held.deadline = None

    def _run(self) -> None:
        while True:
            with self._lock:
                held = list(self._held)
                wait_s = min([self._poll_s, *(lease.lease_s / (2 * _RENEWALS) for lease in held)])
            now = time.monotonic()
            for lease in held:
                if lease.deadline is not None and now > lease.deadline:
                    self._overdue(lease)
                if now >= lease.renew_at and not lease.lost.is_set():
                    self._renew(lease)
            try:
                self._each_round()
            except StoreError as exc:
                _LOG.warning("what this process counted is not noted yet: %s", exc)
            time.sleep(wait_s)

    def _renew(self, held: Held) -> None:
        try:
            if self._store.renew(held.job_id, held.token, held.lease_s):
                held.renew_at = time.monotonic() + held.lease_s / _RENEWALS
            else:
                held.lost.set()
        except StoreError as exc:  # tried again with the next round; the lease may outlast a short cut
            _LOG.warning("cannot renew the lease of job %s: %s", held.job_id, exc)
        except Exception:
            _LOG.exception("cannot renew the lease of job %s", held.job_id)
