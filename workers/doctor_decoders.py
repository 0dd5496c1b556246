"""Checks of the processes that decode strangers' documents. Knows no broker."""

from __future__ import annotations

from collections.abc import Iterator

from router.documents.confinement import confinement
from workers.checks import Check, fail, ok, warn


def check_decoders() -> Iterator[Check]:
    """Yield whether they are kept from the network, from files and from other processes, here, by this kernel."""
    name, found = "decoders", confinement()
    if found is None:
        yield fail(name, "a process that decodes documents does not start", "docroute run FILE tells more")
        return
    means = ", ".join(found.means)
    if found.allowed:
        advice = "let the container use seccomp and Landlock, or run workers where nothing else can be reached"
        yield warn(name, f"processes that decode documents may {', '.join(found.allowed)}: {means}", advice)
    else:
        yield ok(name, f"may not {', '.join(found.refused)}: {means}")
