"""The HTML report: self-contained, safe against what documents say, bounded, and telling what happened."""

import re
from html.parser import HTMLParser

import pytest
from bad_inputs import encode, picture, text_pdf

from router.schema import parse_schema
from workers.local import DocumentWorker, Outcome
from workers.report import ReportWriter
from workers.settings import LaneSettings, PolicySettings, ReportSettings, Settings

NOTE = parse_schema(
    b'{"name": "note", "fields": [{"name": "note_number", "kind": "identifier", "required": true},'
    b' {"name": "sender", "kind": "text"}, {"name": "weight", "kind": "amount"}]}',
    "note.json",
)
SURE = {"note_number": "N-1001", "sender": "Mill & Sons", "weight": "12.50"}
VOID = {"meta", "img", "br", "polygon"}


class Page(HTMLParser):
    """Collects tags and text, and fails on tags that do not nest."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(html)
        assert self.open == []
        self.text = " ".join(self.text.split())

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        if not self.open or self.open[-1] not in {"script", "style"}:
            self.text += data

    def all(self, name: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.tags if tag == name]


def settings(rules, **report) -> Settings:
    lanes = LaneSettings(fast="fake", deep="fake", options={"fake": {"script": rules}})
    return Settings(lanes=lanes, policy=PolicySettings(budget=1.0), report=ReportSettings(**report))


def report(tmp_path, inputs, rules=(), tier="auto", **bounds) -> Page:
    used = settings([{"fields": SURE}, *rules], **bounds)
    read = DocumentWorker(NOTE, used, tier, pictured=True)()
    path = tmp_path / "report.html"
    with ReportWriter(path, used) as writer:
        for name, data in inputs.items():
            if isinstance(data, bytes):
                (tmp_path / name).write_bytes(data)
            writer.add(read(tmp_path / name))
    assert not path.with_name("report.html.partial").exists()
    return Page(path.read_text(encoding="utf-8"))


SCAN = encode(picture(), "PNG")


def test_the_page_loads_nothing(tmp_path):
    page = report(tmp_path, {"a.png": SCAN, "b.pdf": text_pdf(["Note N-1001"])})
    assert not page.all("link")
    assert not [a for a in page.all("script") if "src" in a]
    assert all((a["src"] or "").startswith("data:image/jpeg;base64,") for a in page.all("img"))
    assert len(page.all("img")) == 2
    assert all((a["href"] or "").startswith("#") for a in page.all("a"))
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert not re.search(r"https?://|@import|url\(", html)
    assert "default-src 'none'" in html


def test_text_of_documents_and_file_names_cannot_become_markup(tmp_path):
    evil = "<script>alert(1)</script>"
    page = report(tmp_path, {"<b>a&.png": SCAN}, [{"fields": {"sender": evil, "note_number": "'\"><img src=x>"}}])
    assert len(page.all("script")) == 1
    assert not page.all("b") or all("a&.png" not in str(a) for a in page.all("b"))
    assert len(page.all("img")) == 1
    assert evil in page.text
    assert "<b>a&.png" in page.text


def test_a_value_in_the_page_is_boxed_and_linked_to_its_row(tmp_path):
    page = report(tmp_path, {"b.pdf": text_pdf(["Note N-1001", "Mill & Sons"])}, tier="fast")
    boxes = {a["data-field"]: a["points"] for a in page.all("polygon")}
    assert {"note_number", "sender"} <= set(boxes)
    image = page.all("img")[0]
    for points in boxes.values():
        pairs = [tuple(map(float, pair.split(","))) for pair in points.split()]
        assert len(pairs) == 4
        assert all(0 <= x <= float(image["width"]) and 0 <= y <= float(image["height"]) for x, y in pairs)
    assert set(boxes) <= {a["data-field"] for a in page.all("tr") if "data-field" in a}


def test_an_escalated_field_shows_why_and_both_readings(tmp_path):
    fast = {"tier": "fast", "text": "note_number: N-1001\nsender: Mill & Sons\nweight: 72.50"}
    page = report(tmp_path, {"a.pdf": text_pdf(["Note N-1001"])}, [fast])
    assert "Escalated: confidence unknown" in page.text
    assert "fast 72.50" in page.text
    assert "deep 12.50" in page.text
    assert "Fast lane first:" in page.text


def test_pictures_are_bounded_and_the_page_says_so(tmp_path):
    inputs = {"long.pdf": text_pdf(["Note"], pages=6), "a.png": SCAN, "b.png": encode(picture(900, 300), "PNG")}
    page = report(tmp_path, inputs, pages=2, documents=2, width_px=200)
    assert len(page.all("img")) == 3
    assert "Pages 3 to 6 are not pictured: a report shows the first 2." in page.text
    assert all(int(a["width"]) <= 200 for a in page.all("img"))


def test_a_failed_document_is_listed_with_its_cause(tmp_path):
    page = report(tmp_path, {"a.png": SCAN, "empty.pdf": b"", "gone.pdf": None})
    assert page.text.count("the file is empty") == 2  # in the list and in its own section
    assert "no such file" in page.text
    assert "2failed" in page.text


def test_an_interrupted_report_holds_what_was_read(tmp_path):
    def interrupted():
        with ReportWriter(tmp_path / "r.html", settings([])) as writer:
            writer.add(Outcome(file="x.png", error="broken"))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert "x.png" in Page((tmp_path / "r.html").read_text(encoding="utf-8")).text
