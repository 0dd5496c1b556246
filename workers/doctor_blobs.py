"""Checks of blobs beside the store: whether they belong together and may be deleted. Knows no worker or queue."""

from __future__ import annotations

from collections.abc import Iterator

from router.errors import PurgeRefusedError
from workers.blobs import Blobs
from workers.checks import Check, fail, ok, warn
from workers.clocks import trusted_now
from workers.epoch import epoch_problem
from workers.store import Store


def check_epoch(store: Store, blobs: Blobs) -> Iterator[Check]:
    """Yield whether the broker knows what the blobs hold; raise `BlobError` or `StoreError`."""
    if problem := epoch_problem(store, blobs):
        told, _, advice = problem.partition("; ")
        yield fail("epoch", told, advice)
    else:
        yield ok("epoch", "broker and blobs belong together")


def check_deletion(store: Store, blobs: Blobs) -> Iterator[Check]:
    """Yield whether what is old may be deleted: not while epochs or clocks disagree; may raise as `check_epoch`."""
    if epoch_problem(store, blobs):
        yield warn("deletion", "nothing is deleted while broker and blobs do not belong together", "blobs pile up")
        return
    try:
        trusted_now(store, blobs)
    except PurgeRefusedError as exc:
        told, _, advice = str(exc).partition("; ")
        yield warn("deletion", told, advice or "blobs pile up until then")
    else:
        yield ok("deletion", "the clocks of this machine, the broker and the blobs agree")
