"""What was found for each field, and which of it counts. Knows answers, not the forms they were read from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from backends.answers.answer import Answer
from backends.answers.names import Meaning
from router.normalise import fold, normalise
from router.schema import FieldSpec


@dataclass(frozen=True)
class Candidate:
    """A key that means a field, and what stands there; None where that could not be read."""

    meaning: Meaning
    at: int
    answer: Answer | None


@dataclass
class Found:
    """Everything found in one answer; `dropped` counts keys that nobody asked for."""

    candidates: list[Candidate] = field(default_factory=list)
    dropped: int = 0

    def add(self, meaning: Meaning, at: int, answer: Answer | None) -> None:
        """Keep what stands at a key."""
        self.candidates.append(Candidate(meaning, at, answer))

    def leave_open_contradictions(self, first: int) -> None:
        """Of candidates from the `first` on, leave fields open that have several values: entries of equal rank."""
        values: dict[str, set[str]] = {}
        for one in self.candidates[first:]:
            if one.answer is not None and one.answer.raw is not None and one.answer.rows is None:
                values.setdefault(one.meaning.field, set()).add(fold(one.answer.raw))
        for place, one in enumerate(self.candidates[first:], first):
            if len(values.get(one.meaning.field, ())) > 1:
                self.candidates[place] = Candidate(one.meaning, one.at, None)


def resolve(candidates: Sequence[Candidate], specs: dict[str, FieldSpec]) -> dict[str, Answer]:
    """Return the answer that counts for each field.

    Where a field is named again, a new pass over the fields begins. The later pass counts where it says at least as
    much as the earlier one; a later pass that says less and something else leaves the field open.
    """
    passes = _passes(sorted(candidates, key=lambda c: c.at))
    told = [sum(c.answer is not None and c.answer.raw is not None for c in one.values()) for one in passes]
    chosen: dict[str, Answer] = {}
    for name, spec in specs.items():
        found = [(told[i], i, one[name]) for i, one in enumerate(passes) if name in one]
        answer = _choose(found, spec) if found else None
        if answer is not None:
            chosen[name] = answer
    return chosen


def _passes(candidates: Sequence[Candidate]) -> list[dict[str, Candidate]]:
    passes: list[dict[str, Candidate]] = [{}]
    for candidate in candidates:
        if candidate.meaning.field in passes[-1]:
            passes.append({})
        passes[-1][candidate.meaning.field] = candidate
    return passes


def _choose(found: list[tuple[int, int, Candidate]], spec: FieldSpec) -> Answer | None:
    if spec.kind == "table":  # "see below" at a table's name takes nothing from the rows that stand there
        found = [one for one in found if one[2].answer is not None] or found
    strongest = max(c.meaning.strength for _, _, c in found)
    usable = [(told, i, c.answer) for told, i, c in found if c.meaning.strength == strongest and c.answer is not None]
    present = [(told, i, a) for told, i, a in usable if a.raw is not None]
    if not present:
        return usable[-1][2] if usable else None
    tables = [a for _, _, a in present if a.rows]
    if len(tables) > 1 and (joined := _joined(tables)):
        return joined
    told, index, best = max(present, key=lambda p: (p[0], p[1]))
    if any(a.raw is None and i > index and t >= told for t, i, a in usable):
        return None
    others = [(i, a) for _, i, a in present if _normal(a, spec) != _normal(best, spec)]
    return None if any(i > index for i, _ in others) else best


def _joined(tables: Sequence[Answer]) -> Answer | None:
    """Tables of the same name, page by page, as one; None where they have a row in common and so say it again."""
    seen: set[str] = set()
    for table in tables:
        told = {row.get("description") or str(row) for row in table.rows or ()}
        if seen & told:
            return None
        seen |= told
    last = tables[-1]
    return Answer(
        "\n".join(table.raw or "" for table in tables),
        tables[0].start,
        last.end,
        tuple(row for table in tables for row in table.rows or ()),
        tuple(spans for table in tables for spans in table.cells),
        all(table.whole for table in tables),
        last.last_row_end,
    )


def _normal(answer: Answer, spec: FieldSpec) -> object:
    if answer.rows is not None:
        return answer.rows
    raw = answer.raw or ""
    return normalise(spec.kind, raw, values=spec.values).value if spec.kind != "text" else fold(raw)
