"""Whether the clocks that decide what is old agree. Knows store and blobs, nothing of jobs.

Ages are differences between times of two machines: the one that stamps blobs and the one that looks. Nothing may be
deleted by them unless both go with the store's clock, which is the one that all workers share.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from router.errors import PurgeRefusedError
from workers.blobs import Blobs
from workers.store import Store

MOST_OFF_S = 60.0
"""Far more than a way over the network, far less than any retention."""


def trusted_now(store: Store, blobs: Blobs, own: Callable[[], float] | None = None) -> float:
    """Return the time by the clock that stamps blobs, when it and `own` agree with the store's; in seconds since 1970.

    Raise `PurgeRefusedError` naming the clock that is off by more than 60 s, `StoreError` or `BlobError`.
    """
    before, mine, after = store.now(), (own or time.time)(), store.now()
    _require("this machine's clock", mine, before, after, "set it by NTP")
    before, stamp, after = after, blobs.clock(), store.now()
    if stamp is None:
        raise PurgeRefusedError(f"nothing is deleted from {blobs.place}: it does not say when a blob was put")
    _require(f"the clock of {blobs.place}", stamp, before, after, "set that of its file server or machine by NTP")
    return stamp


def _require(whose: str, shown: float, before: float, after: float, advice: str) -> None:
    off_s = max(before - shown, shown - after)
    if off_s > MOST_OFF_S:
        side = "behind" if shown < before else "ahead of"
        raise PurgeRefusedError(
            f"no blob is deleted while {whose} is {off_s:,.0f} s {side} the broker's ({MOST_OFF_S:.0f} s are allowed); "
            f"{advice}"
        )
