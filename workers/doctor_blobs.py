"""Checks of blobs beside the store: whether they may be deleted. Knows no worker or queue."""

from __future__ import annotations

from collections.abc import Iterator

from router.errors import PurgeRefusedError
from workers.blobs import Blobs
from workers.checks import Check, ok, warn
from workers.clocks import trusted_now
from workers.store import Store


def check_deletion(store: Store, blobs: Blobs) -> Iterator[Check]:
    """Yield whether what is old may be deleted: not while clocks disagree; raise `BlobError` or `StoreError`."""
    try:
        trusted_now(store, blobs)
    except PurgeRefusedError as exc:
        told, _, advice = str(exc).partition("; ")
        yield warn("deletion", told, advice or "blobs pile up until then")
    else:
        yield ok("deletion", "the clocks of this machine, the broker and the blobs agree")
