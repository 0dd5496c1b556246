"""The tables of a document's pages -> one reading of the field. Knows rows, cells and tokens; no model, no prompt."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from backends.field_answers import TokenStatistics, probability, said_by, unanswered
from backends.table_reading import PageTable
from router.confidence import table_probability
from router.normalise import normalise
from router.schema import FieldSpec
from router.types import Cell, Check, FieldValue, Provenance
from router.validators import ROWS_COMPLETE


def table_value(
    spec: FieldSpec, pages: Sequence[PageTable], source: Provenance, shown: Mapping[str, float]
) -> FieldValue:
    """Return the reading of a table from what was read of it page by page.

    Its confidence is made of its rows' and cells' (`router.confidence.table_probability`). Absence is claimed only
    where every page claims it. A page that gave no readable answer, or not all of its rows, fails the check
    `rows_complete`, with the place.
    """
    rows = [row for page in pages for row in _rows(spec, page)]
    silent = [page for page in pages if not page.answers and page.absence is None]
    if rows:
        return _present(spec, rows, pages, silent, said_by(source, {"table_rows": float(len(rows)), **shown}))
    if silent or not pages or any(page.answers for page in pages):
        return unanswered(spec, source, shown)
    return _least_sure_absence(spec, pages, source, shown)


def _present(
    spec: FieldSpec,
    rows: Sequence[dict[str, Cell]],
    pages: Sequence[PageTable],
    silent: Sequence[PageTable],
    source: Provenance,
) -> FieldValue:
    known = [[cell.confidence for cell in row.values() if cell.confidence is not None] for row in rows]
    missing = [page.missing for page in pages if page.missing]
    missing += [f"page {page.page}: no readable answer" for page in silent if not page.missing]
    texts = [item.generation.text[item.answer.start : item.answer.end] for page in pages for item in page.answers]
    return FieldValue(
        name=spec.name,
        raw="\n".join(texts).strip() or None,
        confidence=table_probability([row for row in known if row]),
        page=next(cell.page for row in rows for cell in row.values()),
        rows=tuple(rows),
        provenance=source,
        checks=(Check(name=ROWS_COMPLETE, outcome="fail", detail="; ".join(missing)),) if missing else (),
    )


def _least_sure_absence(
    spec: FieldSpec, pages: Sequence[PageTable], source: Provenance, shown: Mapping[str, float]
) -> FieldValue:
    claims = [page.absence for page in pages if page.absence is not None]
    signals = [TokenStatistics(claim.generation).of_value(claim.answer) for claim in claims]
    least = min(signals, key=lambda signal: signal.get("absence_logprob", float("-inf")))
    confidence = probability(least.get("absence_logprob"))
    return FieldValue(
        name=spec.name, present=False, confidence=confidence, provenance=said_by(source, {**least, **shown})
    )


def _rows(spec: FieldSpec, table: PageTable) -> Iterator[dict[str, Cell]]:
    kinds = {column.name: column.kind for column in spec.columns}
    for item in table.answers:
        statistics = TokenStatistics(item.generation)
        for place in item.kept:
            row, spans = (item.answer.rows or ())[place], item.answer.cells[place]
            cells = {
                name: Cell(
                    raw=raw,
                    value=normalise(kinds[name], raw).value or raw,
                    confidence=statistics.of_span(*spans[name]) if name in spans else None,
                    page=table.page,
                )
                for name, raw in row.items()
                if name in kinds and raw
            }
            if cells:
                yield cells
