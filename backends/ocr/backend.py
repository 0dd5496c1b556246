"""The two embedded lanes as backends: `ocr-fast` (one reading) and `ocr-deep` (three). Know schemas, not queues.

A lane reads the document's words, proposes candidates for every wanted field, lets the learned scorer pick, and answers
with the value, its place and the scorer's probability as confidence. Where the page contradicts its text layer, the
document is read again without that layer.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache

from backends.base import ExtractionRequest
from backends.ocr.answers import FieldReader
from backends.ocr.doctype import choose_schema
from backends.ocr.layer_check import LayerCheck
from backends.ocr.models import model_path
from backends.ocr.reading import OcrReader, Reader
from backends.ocr.scorer import Scorer, default_scorer
from router.believed import believed
from router.errors import DocrouteError, ExtractionError
from router.schema import AUTO, Schema, builtin
from router.types import Document, Extraction, FieldValue, Provenance

FAST_COST, DEEP_COST = 1.0, 2.0
"""Measured on receipts and invoices (`benchmarks/speed.py`): the deep lane's time as a multiple of the fast lane's."""

_MAX_READINGS = 4
_NO_LAYER = "other pages' text layers do not say what those show"


class OcrLane:
    """Reads documents on a CPU. `reader`, `scorer` and `check` can be put in place by benchmarks."""

    def __init__(
        self,
        name: str,
        thorough: bool,
        reader: Reader | None = None,
        scorer: Callable[[], Scorer] = default_scorer,
        check: LayerCheck | None = None,
    ) -> None:
        self.name = name
        self.relative_cost = DEEP_COST if thorough else FAST_COST
        self._thorough = thorough
        self._reader = reader or _shared_reader()
        self._scorer = scorer
        self._check = check or _shared_check()

    def extract(self, request: ExtractionRequest) -> Extraction:
        """Return a value or an absence claim for every wanted field; raise `ExtractionError`."""
        started = time.perf_counter()
        try:
            return self._extract(request, started)
        except DocrouteError:
            raise
        except Exception as exc:  # a page that breaks OCR must not stop the batch
            raise ExtractionError(f"the lane {self.name} failed: {type(exc).__name__}: {exc}") from exc

    def _extract(self, request: ExtractionRequest, started: float) -> Extraction:
        document, disbelieved = self._check.doubts(request.document, request.pages)
        for _ in range(_MAX_READINGS):
            document = believed(document, disbelieved)
            schema, fields = self._fields(request, document)
            found = self._check.contradicted(document, request.pages, schema, fields)
            if not found:
                break
            disbelieved |= found
        else:
            disbelieved |= {p.number: disbelieved.get(p.number, _NO_LAYER) for p in document.pages if p.doubted}
            schema, fields = self._fields(request, believed(document, disbelieved))
        return Extraction(
            document_id=request.document.id,
            tier=request.tier,
            schema_name=schema.name,
            fields=fields,
            disbelieved=disbelieved,
            elapsed_ms=(time.perf_counter() - started) * 1000,
        )

    def _fields(self, request: ExtractionRequest, document: Document) -> tuple[Schema, dict[str, FieldValue]]:
        readings = self._reader.read(document, request.pages, self._thorough)
        schema = request.schema
        if schema.name == AUTO:
            schema = builtin(choose_schema(readings[0], self._scorer()))
        wanted = [n for n in schema.names() if not request.fields or n in request.fields]
        scorer = self._scorer()
        model = "PP-OCRv6+PP-OCRv4" if self._thorough else "PP-OCRv6"
        provenance = Provenance(
            tier=request.tier,
            backend=self.name,
            model=f"{model}, candidate scorer {scorer.version}",
            revision=scorer.version,
        )
        reader = FieldReader(readings, schema, scorer, provenance)
        return schema, {name: reader.read(schema.field(name)) for name in wanted}


@cache
def _shared_check() -> LayerCheck:
    return LayerCheck()


@cache
def _shared_reader() -> OcrReader:
    return OcrReader()


def create_fast() -> OcrLane:
    """Return the lane `ocr-fast`; models load with the first document."""
    model_path("rapidocr", "PP-OCRv6_rec_small.onnx")
    return OcrLane("ocr-fast", thorough=False)


def create_deep() -> OcrLane:
    """Return the lane `ocr-deep`; raise `BackendUnavailableError` when the second recogniser's wheel is missing."""
    model_path("rapidocr", "PP-OCRv6_rec_small.onnx")
    model_path("rapidocr_onnxruntime", "ch_PP-OCRv4_rec_infer.onnx")
    return OcrLane("ocr-deep", thorough=True)
