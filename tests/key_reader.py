"""A scripted model that answers from a document's key, as far as its budget goes in a real vocabulary."""

import io
import json
import re
from dataclasses import dataclass, field, replace

from real_vocabularies import pieces
from reportlab.pdfgen.canvas import Canvas

from backends.base import ExtractionRequest, Generation
from backends.extract import ModelLane
from backends.prompts import NOT_FOUND
from router.documents import open_document
from router.schema import builtin

LONGEST_ANSWER = 2048
KIND, FIELDS, TABLE = "kind", "fields", "table"


def which(request):
    """Return what a request asks for."""
    if "What kind of document is this?" in request.prompt:
        return KIND
    return TABLE if "Copy out a table" in request.prompt else FIELDS


@dataclass
class KeyReader:
    """Answers from keys, as far as the budget goes in the tokens of a real vocabulary; `rows` are by page."""

    lane: str
    kind: str
    values: dict
    rows: dict
    columns: tuple
    form: str = "pipes"
    at_once: int = 100
    slot_room: int = LONGEST_ANSWER
    stops_after: int | None = None
    name: str = "scripted"
    asked: list = field(default_factory=list)

    def split(self, request):
        starts = range(0, len(request.images), self.at_once)
        return [
            replace(request, images=request.images[i : i + self.at_once], glyph_heights_px=(), captions=())
            for i in starts
        ]

    def generate_batch(self, requests):
        self.asked += requests
        return [self.answer(request) for request in requests]

    def answer(self, request):
        asked = which(request)
        if asked == TABLE:
            answer = self.spoken(self.table(request), request.max_tokens)
            return answer if self.stops_after is None else replace(answer, finish_reason="length")
        if asked == KIND:
            return self.spoken(self.kind, request.max_tokens)
        names = re.findall(r"^(\w+) \(\w+\): ", request.prompt, re.MULTILINE)
        return self.spoken("".join(f"{n}: {self.values.get(n) or NOT_FOUND}\n" for n in names), request.max_tokens)

    def table(self, request):
        page = re.search(r"(?:Look at|This is) page (\d+)", request.prompt)
        lines = [self.written(row) for row in self.rows[int(page[1]) if page else 1]]
        after = re.search(r"The last of them is:\n(.*)\n", request.prompt)
        if after:
            lines = lines[[self.told(line) for line in lines].index(after[1]) + 1 :]
        if self.stops_after is not None:
            lines = [] if after else lines[: self.stops_after]
            return "I cannot read more of it" if after else "".join(line + "\n" for line in lines) + "Item"
        return "".join(line + "\n" for line in lines) or NOT_FOUND

    def written(self, row):
        cells = {name: row.get(name) or "" for name in self.columns}
        return json.dumps(cells) if self.form == "objects" else " | ".join(cells.values())

    def told(self, line):
        """How the question repeats a row."""
        return " | ".join(json.loads(line).values()) if self.form == "objects" else line

    def spoken(self, text, budget):
        tokens = pieces(self.lane, text)
        cut = min(budget, self.slot_room)
        whole = len(tokens) < cut
        shown = [*tokens, ""] if whole else tokens[:cut]
        return Generation("".join(shown), "stop" if whole else "length", tuple(shown), (-0.01,) * len(shown), 10)


def read(model, data, name, schema, fields=(), **options):
    with open_document(data, name) as opened:
        request = ExtractionRequest(opened.document, opened, builtin(schema), "fast", fields)
        return ModelLane(model, "scripted", **options).extract(request), opened.document


def columns_of(schema, table):
    return tuple(column.name for column in builtin(schema).field(table).columns)


def four_pages_of_rows(count=150, pages=4):
    """Return an invoice of `count` rows as a PDF, and its rows by page."""
    each = -(-count // pages)
    rows = {page: [] for page in range(1, pages + 1)}
    for n in range(count):
        price = f"{n % 90 + 10}.{n % 100:02d}"
        row = {"description": f"Item {n:03d} blue box", "quantity": "1", "unit_price": price, "total_price": price}
        rows[n // each + 1].append(row)
    buffer = io.BytesIO()
    canvas = Canvas(buffer, pagesize=(595, 842))
    for page, shown in rows.items():
        canvas.drawString(72, 800, f"Tax invoice A-1001, page {page}")
        for line, row in enumerate(shown):
            canvas.drawString(72, 780 - 18 * line, "   ".join(row.values()))
        canvas.showPage()
    canvas.save()
    return buffer.getvalue(), rows
