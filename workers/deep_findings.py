"""What a comparison of store and blobs found, counted by kind. Knows the words, not how it was found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from workers.checks import Check, Finding, ok

Kind = Literal[
    "original_gone", "original_trashed", "original_damaged", "result_gone", "result_trashed", "result_damaged",
    "request_gone", "request_damaged", "job_unknown", "left_over", "strange_name",
]  # fmt: skip
NAMED = 5
"""So many of a kind are named; all are counted."""


class _Words(NamedTuple):
    check: str
    state: Finding
    told: str
    advice: str


_REPAIR = "docroute doctor --deep --repair"
WORDS: dict[Kind, _Words] = {
    "original_gone": _Words("originals", "fail", "jobs wait for a document that is gone", "submit them again"),
    "original_trashed": _Words("originals", "warn", "jobs wait for a document in the trash", f"{_REPAIR} restores it"),
    "original_damaged": _Words(
        "originals", "fail", "documents are damaged: their bytes are not those of their name", "submit them again"
    ),
    "result_gone": _Words(
        "results", "fail", "ended jobs have no result any more", f"{_REPAIR} has them read again, where it can"
    ),
    "result_trashed": _Words("results", "warn", "ended jobs have a result in the trash", f"{_REPAIR} restores it"),
    "result_damaged": _Words(
        "results", "fail", "results cannot be read or name another job", f"{_REPAIR} has the jobs read again"
    ),
    "request_gone": _Words(
        "requests", "warn", "waiting jobs would be lost together with the broker", f"{_REPAIR} writes them down"
    ),
    "request_damaged": _Words(
        "requests", "warn", "records of requests cannot be read", f"{_REPAIR} writes those of known jobs anew"
    ),
    "job_unknown": _Words(
        "jobs", "warn", "blobs tell of young jobs that the broker does not know", "docroute recover makes them anew"
    ),
    "left_over": _Words(
        "left over", "warn", "results or readings of attempts that lost", f"{_REPAIR} moves them to the trash"
    ),
    "strange_name": _Words("originals", "warn", "files among the documents are none", "look at them, and remove them"),
}


@dataclass
class Findings:
    """Counts; `looked` by what was looked at, such as `originals`."""

    counts: Counter[Kind] = field(default_factory=Counter)
    repaired: Counter[Kind] = field(default_factory=Counter)
    examples: dict[Kind, list[str]] = field(default_factory=dict)
    looked: Counter[str] = field(default_factory=Counter)

    def add(self, kind: Kind, name: str, repaired: bool) -> None:
        """Count one thing that is not as it should be."""
        self.counts[kind] += 1
        self.repaired[kind] += repaired
        named = self.examples.setdefault(kind, [])
        if len(named) < NAMED:
            named.append(name)

    def checks(self) -> Iterator[Check]:
        """Yield one check for what was looked at, and one for each kind of finding."""
        yield ok("compared", ", ".join(f"{count:,} {name}" for name, count in self.looked.items()) or "nothing there")
        for kind, words in WORDS.items():
            if self.counts[kind]:
                yield self._check(kind, words)

    def _check(self, kind: Kind, words: _Words) -> Check:
        count, repaired = self.counts[kind], self.repaired[kind]
        more = ", …" if count > NAMED else ""
        detail = f"{count:,} {words.told}: {', '.join(self.examples[kind])}{more}"
        if repaired == count:
            return ok(words.check, f"{detail}; repaired")
        return Check(
            name=words.check,
            state=words.state,
            detail=f"{detail}; {repaired:,} repaired" if repaired else detail,
            advice=words.advice,
        )

    def json(self) -> dict[str, object]:
        """Return all counts and the named examples."""
        found = {
            kind: {"count": count, "repaired": self.repaired[kind], "examples": self.examples[kind]}
            for kind, count in self.counts.items()
        }
        return {"looked_at": dict(self.looked), "found": found}
