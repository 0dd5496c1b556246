"""Invoice layouts: seventeen named orders of blocks and one drawn wholly at random, each with random wording and look.

A layout's head is a list of bands; a band is a row of cells; a cell is a list of blocks with its share of the width and
alignment. "rows" stands for the numbers and dates.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from benchmarks import synth_invoice_rows as ways
from benchmarks.synth_invoice_table import RULES, SUMS

Cell = tuple[str, float, str]
"""Blocks separated by spaces, share of the width, alignment."""


@dataclass(frozen=True)
class Layout:
    """The fixed traits of a layout; empty ones are drawn at random."""

    bands: tuple[tuple[Cell, ...], ...]
    rows: tuple[str, ...] = ("pairs",)
    rules: tuple[str, ...] = RULES
    sums: tuple[str, ...] = ("right", "labels_right", "box")
    foot: bool = False
    side: bool = False
    family: str | None = None
    rows_below: bool = False
    banner: bool = False


L, R, C = "left", "right", "center"
_HALVES = ("pairs", "inline", "detached_colon", "above", "grid")
LAYOUTS: dict[str, Layout] = {
    "classic": Layout(((("logo supplier", 0.55, L), ("title", 0.45, R)), (("payer", 0.5, L), ("rows", 0.5, L)))),
    "letter": Layout(
        ((("", 0.6, L), ("supplier", 0.4, R)), (("sender payer", 0.5, L), ("rows", 0.42, L)), (("title", 1, L),)),
        ("pairs", "detached_colon"),
        ("head_only", "lines"),
        foot=True,
    ),
    "banner": Layout(
        ((("supplier", 0.5, L), ("rows", 0.5, L)), (("payer", 0.5, L),)),
        ("grid", "pairs"),
        ("grid", "zebra"),
        ("box",),
        banner=True,
    ),
    "sidebar": Layout(((("title", 1, R),), (("payer", 0.5, L), ("rows", 0.5, L))), ("inline", "above"), side=True),
    "boxed_grid": Layout(
        ((("supplier", 0.5, L), ("title rows", 0.5, L)), (("boxed_payer", 0.5, L), ("ship", 0.45, L))),
        ("grid",),
        ("grid",),
        ("box",),
    ),
    "head_row": Layout(
        ((("logo supplier", 0.6, L), ("title", 0.4, R)), (("payer", 0.55, L),), (("rows", 1, L),)),
        ("head_row",),
        ("grid", "lines"),
    ),
    "labels_above": Layout(
        ((("title", 0.5, L), ("supplier", 0.5, R)), (("payer", 0.6, L), ("rows", 0.4, L))),
        ("above",),
        ("lines", "head_only"),
    ),
    "centred": Layout(
        ((("supplier", 1, C),), (("title", 1, C),), (("payer", 0.5, L), ("rows", 0.5, L))), ("detached_colon", "inline")
    ),
    "number_in_title": Layout(
        ((("title_number", 0.4, L), ("payer", 0.3, L), ("rows", 0.3, L)),),
        ("columns", "above"),
        ("head_only", "plain"),
        ("labels_right",),
        foot=True,
    ),
    "french_frame": Layout(
        ((("supplier", 0.5, L), ("boxed_payer", 0.45, L)), (("title rows", 0.5, L),)),
        ("inline", "pairs"),
        ("zebra", "outer"),
        ("strip",),
    ),
    "summary_first": Layout(
        ((("logo", 0.4, L), ("title rows amount_box", 0.6, L)), (("payer", 0.5, L),)),
        ("pairs",),
        ("lines", "zebra"),
        foot=True,
    ),
    "ship_to": Layout(
        ((("supplier", 0.55, L), ("title rows", 0.45, R)), (("payer", 0.5, L), ("ship", 0.5, L))),
        ("grid", "inline"),
        ("grid",),
        ("box", "right"),
    ),
    "retail": Layout(
        ((("title", 0.6, L),), (("payer rows", 0.65, L), ("supplier", 0.35, L))),
        ("inline", "pairs"),
        ("zebra", "plain"),
        ("right", "left"),
    ),
    "account": Layout(
        ((("logo supplier", 0.5, L), ("amount_box", 0.5, L)), (("title rows", 0.55, L), ("payer", 0.45, L))),
        ("tiles", "pairs"),
        ("lines", "outer"),
    ),
    "typewriter": Layout(
        ((("supplier", 0.6, L), ("rows", 0.4, L)), (("title", 1, C),), (("payer", 1, L),)),
        ("detached_colon", "inline"),
        ("plain", "head_only"),
        ("right",),
        family="mono",
    ),
    "reference_line": Layout(
        ((("logo", 0.6, L), ("title", 0.4, R)), (("payer", 0.5, L), ("supplier", 0.5, R)), (("rows", 0.7, L),)),
        ("joined",),
    ),
    "dates_below": Layout(
        ((("title", 0.5, L), ("logo supplier", 0.5, L)), (("payer", 0.6, L),)), ("inline", "columns"), rows_below=True
    ),
}


def random_layout(rng: Random) -> Layout:
    """Return a layout whose every trait is drawn at random."""
    supplier = rng.choice(["supplier", "logo supplier"])
    parts = [(supplier, L), ("title", rng.choice([L, R, C])), ("payer", L), ("rows", rng.choice([L, L, R]))]
    rng.shuffle(parts)
    if rng.random() < 0.2:
        parts.append(("ship", L))
    bands: list[tuple[Cell, ...]] = []
    while parts:
        count = min(len(parts), rng.choice([1, 2, 2, 2, 3]))
        taken, parts = parts[:count], parts[count:]
        bands.append(tuple((name, 1 / count, align) for name, align in taken))
    wide = any(len(band) == 1 and band[0][0] == "rows" for band in bands)
    rows = tuple(ways.WAYS) if wide else _HALVES
    return Layout(tuple(bands), rows, RULES, SUMS, rng.random() < 0.3, rng.random() < 0.1, banner=rng.random() < 0.1)
