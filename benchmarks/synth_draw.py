"""Pages made of text, lines and rectangles in points, drawn by Pillow or reportlab alike.

Knows no document kind. Coordinates are points (1/72 inch) from the top left corner; `y` of a text is its baseline.
All fonts come with reportlab (Helvetica, Times and Courier as Type 1 files, Vera as TrueType), so every machine draws
the same pages.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

import numpy as np
import reportlab
from PIL import Image, ImageDraw, ImageFont
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas

from router.types import Word

Colour = tuple[float, float, float]
BLACK: Colour = (0.0, 0.0, 0.0)
WHITE: Colour = (1.0, 1.0, 1.0)
GREY: Colour = (0.45, 0.45, 0.45)
ASCENT, DESCENT = 0.74, 0.22
"""Height of a word's box above and below the baseline, in font sizes."""

_FILES = {
    "Helvetica": "_a______.pfb",
    "Helvetica-Bold": "_ab_____.pfb",
    "Times-Roman": "_er_____.pfb",
    "Times-Bold": "_eb_____.pfb",
    "Courier": "com_____.pfb",
    "Courier-Bold": "cob_____.pfb",
    "Vera": "Vera.ttf",
    "VeraBd": "VeraBd.ttf",
}
FAMILIES = {
    "sans": ("Helvetica", "Helvetica-Bold"),
    "serif": ("Times-Roman", "Times-Bold"),
    "mono": ("Courier", "Courier-Bold"),
    "wide": ("Vera", "VeraBd"),
}


@dataclass(frozen=True)
class Style:
    """How a text looks: family, size in points, weight, horizontal scale and colour."""

    family: str = "sans"
    size: float = 9.0
    bold: bool = False
    stretch: float = 1.0
    colour: Colour = BLACK

    @property
    def font(self) -> str:
        """Return the reportlab font name."""
        return FAMILIES[self.family][self.bold]

    def but(self, **changes: object) -> Style:
        """Return a copy with some attributes changed."""
        return replace(self, **changes)  # type: ignore[arg-type]


@dataclass(frozen=True)
class TextItem:
    """One drawn word."""

    x: float
    y: float
    text: str
    style: Style
    field: str = ""


@dataclass(frozen=True)
class RectItem:
    """A rectangle or, where one side is zero, a line; `fill` and `stroke` may be None."""

    x: float
    y: float
    width: float
    height: float
    fill: Colour | None = None
    stroke: Colour | None = None
    line_width: float = 0.6
    dash: bool = False


@dataclass
class Sheet:
    """A page being drawn; height may be set after drawing (till rolls)."""

    width: float = 595.28
    height: float = 841.89
    items: list[TextItem | RectItem] = field(default_factory=list)

    def text(self, x: float, y: float, text: str, style: Style, align: str = "left", name: str = "") -> float:
        """Draw one line, split into words at spaces, and return its width; `name` is the field whose value it is."""
        total = width_of(text, style)
        cursor = x - {"left": 0.0, "right": total, "center": total / 2}[align]
        for piece in text.split(" "):
            if piece:
                self.items.append(TextItem(cursor, y, piece, style, name))
            cursor += width_of(piece + " ", style)
        return total

    def line(
        self,
        x: float,
        y: float,
        width: float,
        height: float = 0.0,
        colour: Colour = BLACK,
        weight: float = 0.6,
        dash: bool = False,
    ) -> None:
        """Draw a horizontal (height 0) or vertical (width 0) line."""
        self.items.append(RectItem(x, y, width, height, None, colour, weight, dash))

    def rect(
        self, x: float, y: float, width: float, height: float, fill: Colour | None = None, stroke: Colour | None = None
    ) -> None:
        """Draw a rectangle, filled, outlined or both."""
        self.items.append(RectItem(x, y, width, height, fill, stroke))

    def words(self) -> tuple[tuple[Word, ...], tuple[str, ...]]:
        """Return the words with boxes in page fractions, and for each the field it belongs to (empty for none)."""
        texts = [i for i in self.items if isinstance(i, TextItem)]
        return tuple(self._word(i) for i in texts), tuple(i.field for i in texts)

    def _word(self, item: TextItem) -> Word:
        size = item.style.size
        left, right = item.x / self.width, (item.x + width_of(item.text, item.style)) / self.width
        top, bottom = (item.y - ASCENT * size) / self.height, (item.y + DESCENT * size) / self.height
        return Word(text=item.text, polygon=(left, top, right, top, right, bottom, left, bottom), confidence=1.0)


def width_of(text: str, style: Style) -> float:
    """Return the width of a text in points."""
    return _unit_width(text, style.font) * style.size * style.stretch


@cache
def _unit_width(text: str, font: str) -> float:
    _register()
    return float(pdfmetrics.stringWidth(text, font, 1000)) / 1000


@cache
def _register() -> None:
    for name in ("Vera", "VeraBd"):
        pdfmetrics.registerFont(TTFont(name, str(_font_file(name))))


def _font_file(name: str) -> Path:
    return Path(reportlab.__file__).parent / "fonts" / _FILES[name]


@cache
def _font(name: str, size_px: float) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(_font_file(name)), size_px, layout_engine=ImageFont.Layout.BASIC)


def wrap(text: str, style: Style, width: float) -> list[str]:
    """Return the text broken at spaces into lines no wider than `width` points (a longer word stays whole)."""
    lines: list[str] = []
    for word in text.split(" "):
        if lines and width_of(f"{lines[-1]} {word}", style) <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines


def render_sheet(sheet: Sheet, dpi: float = 200.0) -> Image.Image:
    """Return the page as an RGB picture."""
    scale = dpi / 72
    picture = Image.new("RGB", (max(1, round(sheet.width * scale)), max(1, round(sheet.height * scale))), "white")
    pen = ImageDraw.Draw(picture)
    for item in sheet.items:
        if isinstance(item, RectItem):
            _paint_rect(pen, item, scale)
        else:
            _paint_text(picture, item, scale)
    return picture


def _paint_rect(pen: ImageDraw.ImageDraw, item: RectItem, scale: float) -> None:
    box = tuple(round(v * scale) for v in (item.x, item.y, item.x + item.width, item.y + item.height))
    weight = max(1, round(item.line_width * scale))
    if item.width and item.height:
        pen.rectangle(box, fill=_rgb(item.fill), outline=_rgb(item.stroke), width=weight)
    elif item.dash:
        step = max(4, round(2.5 * scale))
        for x in range(box[0], box[2], 2 * step):
            pen.line((x, box[1], min(x + step, box[2]), box[1]), fill=_rgb(item.stroke), width=weight)
    else:
        pen.line(box, fill=_rgb(item.stroke), width=weight)


def _paint_text(picture: Image.Image, item: TextItem, scale: float) -> None:
    style = item.style
    font = _font(style.font, round(style.size * scale, 1))
    left, top, right, bottom = font.getbbox(item.text, anchor="ls")
    if right <= left or bottom <= top:
        return
    mask = Image.new("L", (int(right - left) + 2, int(bottom - top) + 2), 0)
    ImageDraw.Draw(mask).text((-left, -top), item.text, font=font, fill=255, anchor="ls")
    wanted = width_of(item.text, style) * scale / max(font.getlength(item.text), 1)
    if abs(wanted - 1) > 0.01:  # hinting rounds advances, and a stretch is drawn by scaling
        mask = mask.resize((max(1, round(mask.width * wanted)), mask.height), Image.Resampling.BILINEAR)
    corner = (round(item.x * scale + left * wanted), round(item.y * scale + top))
    picture.paste(_rgb(style.colour) or (0, 0, 0), (*corner, corner[0] + mask.width, corner[1] + mask.height), mask)


def _rgb(colour: Colour | None) -> tuple[int, int, int] | None:
    return None if colour is None else tuple(int(v) for v in np.clip(np.array(colour) * 255, 0, 255).round())  # type: ignore[return-value]


def save_sheets(sheets: list[Sheet], path: Path, title: str = "") -> None:
    """Write the pages as one PDF with a text layer; the same pages give the same bytes."""
    _register()
    canvas = Canvas(str(path), invariant=1)
    canvas.setTitle(title)
    for sheet in sheets:
        canvas.setPageSize((sheet.width, sheet.height))
        for item in sheet.items:
            if isinstance(item, RectItem):
                _write_rect(canvas, item, sheet.height)
            else:
                _write_text(canvas, item, sheet.height)
        canvas.showPage()
    canvas.save()


def _write_rect(canvas: Canvas, item: RectItem, height: float) -> None:
    canvas.setLineWidth(item.line_width)
    canvas.setDash(*([2.5, 2.5], 0) if item.dash else ([], 0))
    if item.stroke:
        canvas.setStrokeColorRGB(*item.stroke)
    if item.fill:
        canvas.setFillColorRGB(*item.fill)
    canvas.rect(
        item.x,
        height - item.y - item.height,
        item.width,
        item.height,
        fill=int(item.fill is not None),
        stroke=int(item.stroke is not None),
    )


def _write_text(canvas: Canvas, item: TextItem, height: float) -> None:
    text = canvas.beginText(item.x, height - item.y)
    text.setFont(item.style.font, item.style.size)
    text.setHorizScale(item.style.stretch * 100)
    text.setFillColor(item.style.colour)
    text.textOut(item.text)
    canvas.drawText(text)
