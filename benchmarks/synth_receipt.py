"""Draws a till receipt: head, numbers, rows, sums, payment, foot. Knows the layouts' traits but none by name."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from decimal import Decimal
from random import Random
from typing import Any

from benchmarks import synth_numbers as numbers
from benchmarks.synth_content import Locale, Sale, lexicon, make_root
from benchmarks.synth_draw import BLACK, Sheet, Style, width_of
from benchmarks.synth_receipt_sums import ITEM_WAYS, draw_sums
from benchmarks.synth_theme import Draft, make_theme

_MALAY = {"Tarikh", "JUMLAH", "Tunai", "Baki", "TERIMA KASIH", "Total RM"}


@dataclass(frozen=True)
class ReceiptLayout:
    """The traits of a receipt layout; each tuple's entries are drawn from."""

    families: tuple[str, ...]
    head: tuple[str, ...]
    rows: tuple[str, ...]
    items: tuple[str, ...]
    sums: tuple[str, ...]
    rows_last: float = 0.0
    wide: bool = False


@dataclass
class ReceiptDraft(Draft):
    """A receipt being drawn; `y` is the next baseline."""

    sale: Sale = None  # type: ignore[assignment]
    layout: ReceiptLayout = None  # type: ignore[assignment]
    total: Decimal = Decimal(0)
    y: float = 30.0
    key_rows: list[dict[str, str | None]] = field(default_factory=list)

    @property
    def left(self) -> float:
        """Return the left edge of the text."""
        return self.theme.margin

    @property
    def width(self) -> float:
        """Return the width of the text."""
        return self.sheet.width - 2 * self.theme.margin

    def word(self, name: str, **values: object) -> str:
        """Return one of the words for a receipt's label in the document's language."""
        habits: dict[str, Any] = self.locale.words
        own = habits.get("receipt", {}).get(name)
        if own is None and self.locale.language not in {"en", "ms"}:
            own = habits["labels"].get(name)
        words = own or lexicon()["receipt"][name]
        if self.locale.country != "MY":
            words = [w for w in words if w not in _MALAY]
        if len(self.sale.by_rate) > 1:
            words = [w for w in words if "{rate}" not in w] or words
        pattern: str = self.rng.choice(words)
        return pattern.format(tax=self.locale.tax_word, **{"rate": self.rate, **values})

    @property
    def rate(self) -> str:
        """Return the main tax rate as printed."""
        return f"{self.sale.by_rate[-1][0].normalize():f}"

    def feed(self, lines: float = 1.0) -> None:
        """Move down."""
        self.y += self.step * lines

    def say(self, text: str, align: str, name: str = "", style: Style | None = None) -> None:
        """Draw wrapped text across the roll."""
        self.y = self.lines(self.left, self.y, [text], style, align, name, self.width)

    def rule(self) -> None:
        """Draw a separator: dashes, a line, a dashed line or just space."""
        way = self.rng.choice(["dashes", "line", "dash_line", "space"])
        if way == "dashes" and self.theme.body.family == "mono":
            mark = self.rng.choice("-=-*")
            count = int(self.width / width_of(mark, self.theme.body))
            self.put(self.left, self.y, mark * count)
            self.feed()
        elif way == "space":
            self.feed(0.6)
        else:
            self.sheet.line(self.left, self.y - self.step * 0.5, self.width, 0, BLACK, 0.7, way == "dash_line")
            self.feed(0.6)

    def pair(self, label: str, value: str, name: str = "", style: Style | None = None) -> None:
        """Draw a label at the left edge and a value at the right edge."""
        self.put(self.left, self.y, label, style, width=self.width * 0.62)
        self.put(self.left + self.width, self.y, value, style, "right", name, self.width * 0.36)
        self.feed()


def make_receipt(rng: Random, locale: Locale, sale: Sale, layout: ReceiptLayout) -> ReceiptDraft:
    """Return the drawn receipt."""
    theme = make_theme(rng, rng.choice(layout.families))
    margin = rng.uniform(12, 34)
    theme = replace(theme, margin=margin, leading=rng.uniform(1.12, 1.4))
    width = rng.uniform(330, 420) if layout.wide else rng.uniform(205, 290)
    columns = rng.uniform(40, 52) if layout.wide else rng.uniform(30, 40)
    if theme.body.family == "mono":
        size = rng.uniform(8.5, 10.5)
        stretch = (width - 2 * margin) / (columns * 0.6 * size)
        theme = replace(theme, body=theme.body.but(size=size, stretch=min(1.15, stretch), bold=rng.random() < 0.5))
    draft = ReceiptDraft(rng, locale, theme, [Sheet(width, 10)], sale=sale, layout=layout, total=sale.total)
    _draw(draft)
    draft.sheet.height = draft.y + rng.uniform(10, 60)
    return draft


def _draw(draft: ReceiptDraft) -> None:
    draft.y = draft.rng.uniform(22, 60)
    if draft.chance(0.12):
        _overprint(draft)
    _head(draft)
    late = draft.chance(draft.layout.rows_last)
    draft.feed(draft.rng.uniform(0.2, 1))
    if draft.chance(0.6):
        bold = draft.theme.body.but(bold=True, size=draft.theme.body.size * draft.rng.choice([1, 1.2]))
        draft.say(draft.word("titles"), draft.rng.choice(["center", "center", "left"]), "", bold)
    if not late:
        draft_rows(draft)
    draft.rule()
    draw_items(draft)
    draft.rule()
    draw_sums(draft)
    if late:
        draft.rule()
        draft_rows(draft)
    draft.feed(0.8)
    for text in draft.rng.sample(
        draft.locale.words.get("receipt", lexicon()["receipt"])["thanks"], k=draft.rng.randint(0, 2)
    ):
        draft.say(text, draft.rng.choice(["center", "center", "left"]))


def _overprint(draft: ReceiptDraft) -> None:
    """Draw what a clerk or scanner adds above the receipt: a batch number or a person's name, which is no field."""
    words = draft.locale.words
    person = f"{draft.rng.choice(words['first'])} {draft.rng.choice(words['last'])}".lower()
    text = numbers.digits(draft.rng, 7) if draft.chance(0.5) else person
    draft.say(
        text, draft.rng.choice(["left", "center"]), "", Style("wide", draft.rng.uniform(11, 18), draft.chance(0.6))
    )
    draft.feed(draft.rng.uniform(0.5, 3))


def _head(draft: ReceiptDraft) -> None:
    party, align = draft.sale.supplier, draft.rng.choice(draft.layout.head)
    bold = draft.theme.body.but(bold=True, size=draft.theme.body.size * draft.rng.choice([1, 1, 1.2, 1.5]))
    my = draft.locale.country == "MY"
    if my and draft.chance(0.25):
        party = replace(party, name=_mixed_case(party.name), address=tuple(_mixed_case(a) for a in party.address))
    draft.say(party.name, align, "supplier_name", bold)
    tax_shown, registered = draft.chance(0.65 if draft.sale.taxed else 0.2), my and draft.chance(0.55)
    if registered:
        number = f"({numbers.digits(draft.rng, draft.rng.choice([6, 7]))}-{draft.rng.choice('WXTPDHMK')})"
        label = draft.rng.choice(["", "", "CO. REG:", "CO.REG :", "Company No:"])
        _labelled(draft, align, label, number.strip("()") if label else number, not tax_shown)
    if draft.chance(0.1):
        draft.say(f"({make_root(draft.rng).upper()} BRANCH)", align)
    draft.y = draft.lines(draft.left, draft.y, party.address, None, align, "business_address", draft.width)
    since = len(draft.sheet.items)
    lines = [f"{draft.rng.choice(['TEL', 'Tel:', 'TEL :', 'Phone', 'HP:'])} {party.phone}"] if draft.chance(0.6) else []
    if draft.chance(0.2):
        lines.append(
            f"{draft.rng.choice(['FAX :', 'Email:'])} {numbers.fill_pattern(draft.rng, draft.locale.place['phone'][0])}"
        )
    if draft.chance(0.15):
        lines.append(party.web)
    draft.rng.shuffle(lines)
    for line in lines:
        draft.say(line, align)
    draft.mark("business_phone", party.phone, since)
    draft.mark("supplier_website", party.web, since)
    if tax_shown:
        _labelled(draft, align, draft.rng.choice(draft.locale.place["id_words"]).strip(), party.tax_number, True)


def _mixed_case(text: str) -> str:
    return " ".join(w if w in {"S/B", "(M)"} else w.title() for w in text.split(" "))


def _labelled(draft: ReceiptDraft, align: str, label: str, value: str, is_field: bool) -> None:
    ink = draft.theme.body
    gap = width_of(" ", ink) if label else 0.0
    total = width_of(label, ink) + gap + width_of(value, ink)
    ink = ink.but(stretch=ink.stretch * min(1.0, draft.width / total))
    total = min(total, draft.width)
    x = draft.left + {"left": 0.0, "right": draft.width - total, "center": (draft.width - total) / 2}[align]
    used = draft.put(x, draft.y, label, ink) + gap if label else 0.0
    draft.put(x + used, draft.y, value, ink, "left", "business_abn" if is_field else "")
    draft.feed()


def draft_rows(draft: ReceiptDraft) -> None:
    """Draw number, date, time, till and cashier."""
    rng, sale = draft.rng, draft.sale
    clock = rng.choice(
        ["{h:02d}:{m:02d}", "{h:02d}:{m:02d}:{s:02d}", "{k:02d}:{m:02d} PM", "{k:02d}:{m:02d}:{s:02d}PM"]
    )
    hour = rng.randint(13, 21)
    time = clock.format(h=hour, k=hour - 12, m=rng.randint(0, 59), s=rng.randint(0, 59))
    rows = [(draft.word("invoice_number"), sale.number, "invoice_number")] if draft.chance(0.9) else []
    rows.append((draft.word("invoice_date"), draft.locale.date(sale.date), "invoice_date"))
    if draft.chance(0.6):
        rows.append(
            (draft.word("cashier"), rng.choice([rng.choice(draft.locale.words["first"]), "USER", "ADMIN", "01"]), "")
        )
    if draft.chance(0.5):
        rows.append((draft.word("till"), rng.choice(["POS1", "01", "T4", "3", "12", "SH01"]), ""))
    if draft.chance(0.12):
        rows.append((draft.word("member"), numbers.digits(rng, 9), ""))
    rng.shuffle(rows)
    way = rng.choice(draft.layout.rows)
    {"pairs": _rows_pairs, "edges": _rows_edges, "two": _rows_two, "bare": _rows_bare}[way](draft, rows, time)


Rows = list[tuple[str, str, str]]


def _rows_pairs(draft: ReceiptDraft, rows: Rows, time: str) -> None:
    colon = draft.rng.choice([":", " :", "aligned"])
    column = max(width_of(label, draft.theme.body) for label, _, _ in rows) + 6
    joined = draft.chance(0.6)
    for label, value, name in rows:
        draft.put(draft.left, draft.y, label if colon == "aligned" else label + colon)
        shown = column + 6 if colon == "aligned" else column + 10
        if colon == "aligned":
            draft.put(draft.left + column, draft.y, ":")
        used = draft.put(draft.left + shown, draft.y, value, None, "left", name, draft.width - shown)
        if name == "invoice_date" and joined:
            after = shown + used + 6
            draft.put(draft.left + after, draft.y, time, width=max(20.0, draft.width - after))
        draft.feed()
    if not joined:
        draft.put(draft.left, draft.y, f"Time: {time}")
        draft.feed()


def _rows_edges(draft: ReceiptDraft, rows: Rows, time: str) -> None:
    for label, value, name in rows:
        draft.pair(label + draft.theme.colon, value, name)
    draft.pair("Time", time)


def _rows_two(draft: ReceiptDraft, rows: Rows, time: str) -> None:
    cells = [*rows, ("Time", time, "")]
    half = draft.width / 2
    for index in range(0, len(cells), 2):
        for side, (label, value, name) in enumerate(cells[index : index + 2]):
            x = draft.left + side * half
            used = draft.put(x, draft.y, label + (draft.theme.colon or ":"), width=half * 0.45) + 4
            draft.put(x + used, draft.y, value, None, "left", name, half - used - 5)
        draft.feed()


def _rows_bare(draft: ReceiptDraft, rows: Rows, time: str) -> None:
    """Draw '12-01-19 21:13' without a label, then the rest on one line each."""
    used = draft.put(draft.left, draft.y, draft.locale.date(draft.sale.date), None, "left", "invoice_date") + 8
    draft.put(draft.left + used, draft.y, time, width=max(20.0, draft.width - used))
    draft.feed()
    for label, value, name in rows:
        if name != "invoice_date":
            used = draft.put(draft.left, draft.y, label, width=draft.width * 0.5) + 6
            draft.put(draft.left + used, draft.y, value, None, "left", name, draft.width - used)
            draft.feed()


def draw_items(draft: ReceiptDraft) -> None:
    """Draw the rows of what was bought."""
    way = ITEM_WAYS[draft.rng.choice(draft.layout.items)]
    way(draft, draft.sale.items)
