"""What all layouts share: a document's look, its open pages, and the record of which fields were really printed.

Knows no document kind. A field that no drawing call named is absent from the key.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from random import Random

from benchmarks.synth_content import Locale
from benchmarks.synth_draw import BLACK, Colour, Sheet, Style, TextItem, width_of, wrap

ACCENTS: tuple[Colour, ...] = (
    (0.16, 0.33, 0.58), (0.40, 0.60, 0.95), (0.10, 0.45, 0.40), (0.55, 0.15, 0.15), (0.25, 0.25, 0.28),
    (0.80, 0.42, 0.05),
    (0.50, 0.48, 0.63), (0.0, 0.0, 0.0), (0.45, 0.12, 0.42), (0.20, 0.50, 0.20),
)  # fmt: skip
PALES: tuple[Colour, ...] = (
    (0.93, 0.93, 0.93),
    (0.87, 0.93, 0.98),
    (0.95, 0.95, 0.88),
    (0.85, 0.85, 0.85),
    (0.9, 0.96, 0.9),
)


@dataclass(frozen=True)
class Theme:
    """The look of one document."""

    body: Style
    heading: Style
    accent: Colour
    pale: Colour
    margin: float
    leading: float
    colon: str
    gap: float


def make_theme(rng: Random, family: str | None = None) -> Theme:
    """Return a random look."""
    family = family or rng.choice(["sans", "sans", "sans", "serif", "wide", "wide", "mono"])
    size = rng.uniform(8.0, 10.0) - (1.0 if family in {"wide", "mono"} else 0.0)
    stretch = rng.choice([1.0, 1.0, 1.0, 0.92, 0.86]) * (0.9 if family == "mono" else 1.0)
    body = Style(family, round(size, 1), False, stretch)
    accent = rng.choice(ACCENTS)
    return Theme(
        body,
        body.but(
            size=round(size * rng.uniform(1.6, 2.6), 1), bold=rng.random() < 0.8, colour=rng.choice([BLACK, accent])
        ),
        accent,
        rng.choice(PALES),
        rng.uniform(34, 62),
        rng.uniform(1.25, 1.6),
        rng.choice([":", ":", ":", "", "", " :"]),
        rng.uniform(10, 22),
    )


def fit(text: str, style: Style, width: float) -> Style:
    """Return the style, narrowed so that the text is no wider than `width` points."""
    actual = width_of(text, style)
    return style if actual <= width else style.but(stretch=style.stretch * width / actual)


@dataclass
class Draft:
    """A document being drawn."""

    rng: Random
    locale: Locale
    theme: Theme
    sheets: list[Sheet] = field(default_factory=list)
    printed: dict[str, str] = field(default_factory=dict)

    @property
    def sheet(self) -> Sheet:
        """Return the page being drawn."""
        return self.sheets[-1]

    @property
    def step(self) -> float:
        """Return the distance of two baselines."""
        return self.theme.body.size * self.theme.leading

    def chance(self, probability: float) -> bool:
        """Return True with this probability."""
        return self.rng.random() < probability

    def label(self, name: str, **values: object) -> str:
        """Return one of the words for a label."""
        pattern: str = self.rng.choice(self.locale.words["labels"][name])
        return pattern.format(tax=self.locale.tax_word, **values)

    def put(
        self,
        x: float,
        y: float,
        text: str,
        style: Style | None = None,
        align: str = "left",
        name: str = "",
        width: float | None = None,
    ) -> float:
        """Draw one line, narrowed to `width` where given, record the field it prints, and return its width."""
        style = style or self.theme.body
        if width is not None:
            style = fit(text, style, width)
        if name:
            self.printed.setdefault(name, text)
        return self.sheet.text(x, y, text, style, align, name)

    def lines(
        self,
        x: float,
        y: float,
        texts: Sequence[str],
        style: Style | None = None,
        align: str = "left",
        name: str = "",
        width: float = 1e4,
    ) -> float:
        """Draw lines below each other, wrapped to `width`; return the baseline after the last."""
        style = style or self.theme.body
        anchor = x + {"left": 0, "right": width, "center": width / 2}[align] if width < 1e4 else x
        for text in texts:
            for piece in wrap(text, style, width):
                self.put(anchor, y, piece, style, align, name, width)
                y += style.size * self.theme.leading
        if name:
            self.printed[name] = " ".join(texts)
        return y

    def mark(self, name: str, value: str, since: int) -> None:
        """Record that the sheet's items from `since` on print a field's value behind or among other words."""
        items, wanted = self.sheet.items, value.split(" ")
        drawn = [i for i in range(since, len(items)) if isinstance(items[i], TextItem)]
        texts = [item.text for item in items if isinstance(item, TextItem)][-len(drawn) :] if drawn else []
        for first in range(len(texts) - len(wanted) + 1):
            if texts[first : first + len(wanted)] == wanted:
                for i in drawn[first : first + len(wanted)]:
                    items[i] = replace(items[i], field=name)  # type: ignore[call-arg]
                self.printed.setdefault(name, value)
                return
