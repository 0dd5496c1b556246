"""Ways to print an invoice's numbers and dates: beside, below or under a ruled head. Knows no layout.

Every way draws `draft.rows` at (x, y) within a width and returns the baseline below them.
"""

from __future__ import annotations

from benchmarks.synth_draw import BLACK, GREY, WHITE, width_of
from benchmarks.synth_invoice import InvoiceDraft, anchor, pair


def inline(draft: InvoiceDraft, x: float, y: float, width: float, align: str) -> float:
    """Draw 'Label: value' lines."""
    for label, value, name in draft.rows:
        bold = draft.theme.body.but(bold=draft.theme.heading.bold and align == "left")
        pair(draft, x, y, width, align, draft.label_text(label), value, name, bold)
        y += draft.step
    return y


def pairs(draft: InvoiceDraft, x: float, y: float, width: float, align: str) -> float:
    """Draw labels in one column and values in a second, the values left or right aligned."""
    body, right = draft.theme.body, draft.chance(0.4)
    labels = [draft.label_text(label) for label, _, _ in draft.rows]
    column = min(max(width_of(text, body) for text in labels) + draft.theme.gap, width * 0.55)
    bold = draft.chance(0.3)
    for text, (_, value, name) in zip(labels, draft.rows, strict=True):
        draft.put(x, y, text, body.but(bold=bold), width=column - 3)
        if right:
            draft.put(x + width, y, value, body, "right", name, width - column)
        else:
            draft.put(x + column, y, value, body, "left", name, width - column)
        y += draft.step
    return y


def detached_colon(draft: InvoiceDraft, x: float, y: float, width: float, align: str) -> float:
    """Draw label, a colon in its own column, value."""
    body = draft.theme.body
    column = min(max(width_of(label, body) for label, _, _ in draft.rows) + 8, width * 0.5)
    for label, value, name in draft.rows:
        draft.put(x, y, label, width=column - 4)
        draft.put(x + column, y, ":")
        draft.put(x + column + 8, y, value, body, "left", name, width - column - 8)
        y += draft.step
    return y


def above(draft: InvoiceDraft, x: float, y: float, width: float, align: str) -> float:
    """Draw each label above its value, stacked."""
    small = draft.theme.body.but(size=draft.theme.body.size * 0.85, colour=draft.rng.choice([GREY, draft.theme.accent]))
    for label, value, name in draft.rows:
        draft.put(anchor(x, width, align), y, label, small, align, "", width)
        y += draft.step * 0.95
        draft.put(anchor(x, width, align), y, value, draft.theme.body, align, name, width)
        y += draft.step * 1.25
    return y


def columns(draft: InvoiceDraft, x: float, y: float, width: float, align: str) -> float:
    """Draw a row of labels with the values in a row below, without rules."""
    part = width / max(len(draft.rows), 1)
    label_style = draft.theme.body.but(bold=draft.chance(0.5))
    for index, (label, value, name) in enumerate(draft.rows):
        draft.put(x + index * part, y, label, label_style, width=part - 5)
        draft.put(x + index * part, y + draft.step, value, None, "left", name, part - 5)
    return y + 2.2 * draft.step


def head_row(draft: InvoiceDraft, x: float, y: float, width: float, align: str) -> float:
    """Draw a table of one row: labels in a ruled, often filled head, values below."""
    part, high = width / max(len(draft.rows), 1), draft.step * 1.35
    filled = draft.chance(0.6)
    ground = draft.rng.choice([draft.theme.accent, draft.theme.pale])
    ink = draft.theme.body.but(bold=True, colour=WHITE if filled and ground == draft.theme.accent else BLACK)
    for index, (label, value, name) in enumerate(draft.rows):
        left = x + index * part
        draft.sheet.rect(left, y - draft.step, part, high, ground if filled else None, GREY)
        draft.sheet.rect(left, y - draft.step + high, part, high, None, GREY)
        draft.put(left + part / 2, y, label, ink, "center", "", part - 6)
        draft.put(left + part / 2, y + high, value, None, "center", name, part - 6)
    return y + 2 * high + draft.step * 0.4


def joined(draft: InvoiceDraft, x: float, y: float, width: float, align: str) -> float:
    """Draw two labels and values on each line, as in 'Invoice 12 of 3 May 2014'."""
    half = width / 2
    for index, (label, value, name) in enumerate(draft.rows):
        left = x + index % 2 * half
        pair(
            draft,
            left,
            y,
            half - 6,
            "left",
            label if name == "invoice_number" else draft.label_text(label),
            value,
            name,
        )
        y += draft.step if index % 2 or index == len(draft.rows) - 1 else 0
    return y


def grid(draft: InvoiceDraft, x: float, y: float, width: float, align: str) -> float:
    """Draw a ruled table of two columns, label and value."""
    high, split = draft.step * 1.3, draft.rng.uniform(0.42, 0.52)
    shaded = draft.chance(0.5)
    for label, value, name in draft.rows:
        draft.sheet.rect(x, y - draft.step, width * split, high, draft.theme.pale if shaded else None, GREY)
        draft.sheet.rect(x + width * split, y - draft.step, width * (1 - split), high, None, GREY)
        draft.put(x + 4, y, draft.label_text(label), width=width * split - 7)
        draft.put(x + width * split + 4, y, value, None, "left", name, width * (1 - split) - 7)
        y += high
    return y + draft.step * 0.3


def tiles(draft: InvoiceDraft, x: float, y: float, width: float, align: str) -> float:
    """Draw boxes three to a line, each with a small label above its value."""
    part, high = width / 3, draft.step * 2.3
    small = draft.theme.body.but(size=draft.theme.body.size * 0.75, colour=GREY)
    for index, (label, value, name) in enumerate(draft.rows):
        left, top = x + index % 3 * part, y - draft.step + index // 3 * high
        draft.sheet.rect(left, top, part, high, None, GREY)
        draft.put(left + 4, top + draft.step * 0.85, label, small, width=part - 8)
        draft.put(left + 4, top + draft.step * 1.9, value, None, "left", name, part - 8)
    return y + -(-len(draft.rows) // 3) * high + draft.step * 0.3


WAYS = {
    "inline": inline, "pairs": pairs, "detached_colon": detached_colon, "above": above, "columns": columns,
    "joined": joined, "head_row": head_row, "grid": grid, "tiles": tiles,
}  # fmt: skip
WIDE = ("columns", "head_row", "tiles", "joined")
"""Ways that need most of the page's width."""
