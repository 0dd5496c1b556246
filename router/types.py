"""Core data of a document's way through the router.

Every type is frozen and refuses unknown keys, so that what is stored or sent can be read back exactly. Pixels never
live here: a page's picture stays with the `PageSource` that rendered it. This module must not know any model, queue
or file format.

Coordinates: a polygon is eight numbers x1,y1..x4,y4 in page fractions [0,1], clockwise from the top left corner of the
text.
"""

from __future__ import annotations

from typing import Annotated, Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from router.printable import Printed

Tier = Literal["fast", "deep"]
FieldKind = Literal["text", "date", "period", "amount", "identifier", "boolean", "enum", "table"]
Unit = Annotated[float, Field(ge=0.0, le=1.0)]
Polygon = tuple[float, float, float, float, float, float, float, float]
Rgb = NDArray[np.uint8]
"""A page picture: shape (height, width, 3), RGB, uint8 in [0, 255]."""


class Frozen(BaseModel):
    """Base of all core types: immutable, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Word(Frozen):
    """A piece of text on a page; `confidence` is None where the source gives none (a PDF text layer says 1.0)."""

    text: Printed
    polygon: Polygon
    confidence: Unit | None = None


class Page(Frozen):
    """One page: size in pixels as rendered, and the words of its text layer (empty for a scan).

    `doubted`: a value among these words is believed when the page's picture shows it. Words whose confidence is None
    are not drawn themselves, or not whole: they are somebody's claim about a picture.
    """

    number: int = Field(ge=1)
    width_px: int = Field(ge=1)
    height_px: int = Field(ge=1)
    dpi: float | None = None
    words: tuple[Word, ...] = ()
    blank: bool = False
    doubted: bool = False


class Document(Frozen):
    """A document as received; `id` is the sha256 of its bytes in lower-case hexadecimal.

    `notes` say in plain words what a reader of the result should know of it: what was left out, mended or not believed.
    """

    id: str
    uri: str
    media_type: str
    size_bytes: int
    pages: tuple[Page, ...]
    notes: tuple[str, ...] = ()


class PageSource(Protocol):
    """Gives the picture of one page at a time, so that a long document never lies in memory whole."""

    def image(self, number: int) -> Rgb:
        """Return page `number` (from 1) as RGB."""
        ...


class ComplexityScore(Frozen):
    """How likely the fast lane is to get a document's fields wrong.

    `features` are signals scaled to [0,1] of the hardest page, `contributions` their signed shares of the score's
    logit.
    """

    value: Unit
    features: dict[str, Unit]
    contributions: dict[str, float]
    hardest_page: int
    weights_version: str
    elapsed_ms: float


class Route(Frozen):
    """Which lane reads first, and the reason in words a person understands."""

    tier: Tier
    score: Unit
    threshold: Unit
    reason: str


class Check(Frozen):
    """The outcome of one validator on one field."""

    name: str
    outcome: Literal["pass", "fail", "not_applicable"]
    detail: str = ""


class Provenance(Frozen):
    """Which model said it, and the signals why it is believed."""

    tier: Tier
    backend: str
    model: str
    revision: str | None = None
    prompt_version: str | None = None
    signals: dict[str, float] = {}


class Cell(Frozen):
    """One cell of a table row; `value` is normalised by the column's kind, `raw` is what stands on the page."""

    raw: Printed
    value: Printed
    confidence: Unit | None = None
    page: int | None = None
    polygon: Polygon | None = None


class FieldValue(Frozen):
    """One reading of one field.

    `present` False is the claim that the document has no such field, and `confidence` is the probability of that claim.
    `confidence` None means unknown. `rows` holds a table's rows, column name to cell; `value` is then None.
    `ambiguous` marks a date whose day and month could be exchanged.
    """

    name: str
    raw: Printed | None = None
    value: Printed | None = None
    confidence: Unit | None = None
    present: bool = True
    page: int | None = None
    polygon: Polygon | None = None
    ambiguous: bool = False
    rows: tuple[dict[str, Cell], ...] | None = None
    provenance: Provenance | None = None
    alternatives: tuple[FieldValue, ...] = ()
    checks: tuple[Check, ...] = ()


def is_silent(reading: FieldValue) -> bool:
    """Return whether a lane was asked and gave no answer: no claim, not even one of absence."""
    return reading.provenance is not None and "unanswered" in reading.provenance.signals


class Extraction(Frozen):
    """What one lane read: one value for each field it was asked for.

    `schema_name` is the schema that was used, which `auto` leaves to the lane. `finish_reason`: stop, length,
    repetition, deadline, cancelled, refusal, or error where an answer held no field at all. `disbelieved` holds, by
    page, why a text layer was not used, in words.
    """

    document_id: str
    tier: Tier
    schema_name: str
    fields: dict[str, FieldValue]
    disbelieved: dict[int, str] = {}
    finish_reason: str = "stop"
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    elapsed_ms: float = 0.0


MergeRule = Literal["only", "agree", "validator", "grounded", "calibrated", "unresolved"]


class MergedField(Frozen):
    """The chosen reading of a field, all readings it was chosen from, and the rule that chose."""

    chosen: FieldValue
    candidates: tuple[FieldValue, ...]
    rule: MergeRule


Status = Literal["done", "done_with_gaps", "needs_review", "failed"]


class Result(Frozen):
    """The end of a document's way: merged fields, the route it took and what stayed open.

    `calibrated`: whether the confidences were fitted to how often such fields are right, for the lanes that read.
    `notes` are the document's.
    """

    document_id: str
    uri: str
    schema_name: str
    fields: dict[str, MergedField]
    score: ComplexityScore | None = None
    route: Route
    escalated_fields: tuple[str, ...] = ()
    escalation_reasons: dict[str, str] = {}
    unresolved: tuple[str, ...] = ()
    status: Status
    calibrated: bool = False
    notes: tuple[str, ...] = ()
    elapsed_ms: dict[str, float] = {}
