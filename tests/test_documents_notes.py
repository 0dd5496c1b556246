"""What should be known of a document stands in its result's notes, on every way to a reader."""

from __future__ import annotations

import io

import pytest
from bad_inputs import encode, picture
from PIL import Image
from rich.console import Console
from steps_world import SURE as SURE_NOTE
from steps_world import StepsWorld
from test_report import NOTE, SURE, report, settings

from router.documents import open_document
from workers.console import result_table
from workers.local import DocumentWorker
from workers.serialise import result_json

LEFT_OUT = "only the first of the file's 3 pictures is read"


def moving(kind: str, **options: object) -> bytes:
    others = [picture().rotate(90), picture().rotate(180)]
    return encode(picture(), kind, save_all=True, append_images=others, **options)


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "MPO"])
def test_pictures_of_a_file_that_are_no_pages_are_noted(kind: str) -> None:
    with open_document(moving(kind), "x") as opened:
        assert len(opened.document.pages) == 1
        (note,) = opened.document.notes
        assert note.startswith(LEFT_OUT)


def test_pictures_of_a_heic_that_are_no_pages_are_noted() -> None:
    heif = pytest.importorskip("pillow_heif")
    buffer = io.BytesIO()
    three = heif.from_pillow(picture())
    three.add_from_pillow(picture())
    three.add_from_pillow(picture())
    three.save(buffer, save_all=True)
    with open_document(buffer.getvalue(), "x") as opened:
        assert [note[: len(LEFT_OUT)] for note in opened.document.notes] == [LEFT_OUT]


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF"])
def test_a_file_of_one_picture_has_no_notes(kind: str) -> None:
    with open_document(encode(picture(), kind), "x") as opened:
        assert opened.document.notes == ()


def test_the_brightness_of_an_hdr_photo_is_no_picture_that_was_left_out() -> None:
    xmp = b'<x xmlns:hdrgm="http://ns.adobe.com/hdr-gain-map/1.0/"/>'
    photo = encode(picture(), "MPO", save_all=True, append_images=[Image.new("L", (60, 80))], xmp=xmp)
    with open_document(photo, "x") as opened:
        assert opened.document.notes == ()


def test_every_page_of_a_tiff_is_read_and_nothing_noted() -> None:
    with open_document(moving("TIFF"), "x") as opened:
        assert len(opened.document.pages) == 3
        assert opened.document.notes == ()


def test_a_note_reaches_the_json_the_table_and_the_report(tmp_path) -> None:
    path = tmp_path / "moving.webp"
    path.write_bytes(moving("WEBP"))
    outcome = DocumentWorker(NOTE, settings([{"fields": SURE}]))()(path)
    line = result_json("moving.webp", outcome.result, outcome.schema)
    assert [note[: len(LEFT_OUT)] for note in line["notes"]] == [LEFT_OUT]
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(result_table(line, 1.0))
    assert f"note: {LEFT_OUT}" in console.export_text()
    assert LEFT_OUT in report(tmp_path, {"moving.webp": path.read_bytes()}).text


def test_what_an_earlier_opening_noted_of_a_picture_is_kept() -> None:
    data = moving("PNG")
    with open_document(data, "x") as first:
        page, notes = first.document.pages[0], first.document.notes
    with open_document(data, "x", picture=page, notes=notes) as again:
        assert again.document.notes == notes


def test_a_note_reaches_the_result_of_the_service(tmp_path) -> None:
    world = StepsWorld(tmp_path, [SURE_NOTE])
    world.submit(moving("PNG"))
    world.drive()
    assert [note[: len(LEFT_OUT)] for note in world.result()["notes"]] == [LEFT_OUT]
