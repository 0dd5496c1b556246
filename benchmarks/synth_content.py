"""What a synthetic document says: invented parties, items, arithmetic and the way its country prints numbers and dates.

Knows no layout and draws nothing. All sums are exact in cents.
"""

from __future__ import annotations

import datetime as dt
import tomllib
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

from benchmarks import synth_numbers as numbers


@cache
def lexicon() -> dict[str, Any]:
    """Return the word lists; Malay-English documents take from English what Malay does not name."""
    data = tomllib.loads((Path(__file__).parent / "synth_lexicon.toml").read_text(encoding="utf-8"))
    languages = data["language"]
    languages["ms"] = languages["en"] | languages["ms"]
    return data


@dataclass(frozen=True)
class Locale:
    """One country's habits, as chosen for one document."""

    country: str
    language: str
    currency: str
    money: numbers.MoneyFormat
    date_pattern: str
    tax_word: str

    @property
    def words(self) -> dict[str, Any]:
        """Return the language's word lists."""
        return lexicon()["language"][self.language]  # type: ignore[no-any-return]

    @property
    def place(self) -> dict[str, Any]:
        """Return the country's word lists."""
        return lexicon()["country"][self.country]  # type: ignore[no-any-return]

    def date(self, day: dt.date) -> str:
        """Return a date as printed."""
        return numbers.format_date(day, self.date_pattern, self.words["months"], self.words["short_months"])


def make_locale(rng: Random, country: str) -> Locale:
    """Return the habits of one document from this country."""
    place = lexicon()["country"][country]
    language = place["language"]
    dates = list(lexicon()["language"][language]["dates"])
    if country == "US":
        dates = [
            "{month} {d}, {yyyy}",
            "{month} {d}, {yyyy}",
            "{mon} {d}, {yyyy}",
            "{yyyy}-{mm}-{dd}",
            "{month} {d} , {yyyy}",
        ]
    return Locale(
        country,
        language,
        place["currency"],
        numbers.make_money_format(rng, place, place["currency"]),
        rng.choice(dates),
        rng.choice(place["tax_words"]),
    )


@dataclass(frozen=True)
class Party:
    """A company or person with an address of one or more printed lines."""

    name: str
    address: tuple[str, ...]
    phone: str
    tax_number: str
    iban: str
    web: str


def make_root(rng: Random) -> str:
    """Return an invented proper name."""
    heads, tails = lexicon()["names"]["heads"], lexicon()["names"]["tails"]
    middle = rng.choice(heads) if rng.random() < 0.2 else ""
    return str(rng.choice(heads) + middle + rng.choice(tails)).title()


def make_company(rng: Random, locale: Locale) -> Party:
    """Return an invented company; Malaysian names are in capitals as on their receipts."""
    place, words = locale.place, locale.words
    root, suffix = make_root(rng), rng.choice(place["suffixes"])
    trade = rng.choice(words["trades"])
    forms = [
        f"{root} {trade} {suffix}",
        f"{root} {suffix}",
        f"{root} & {make_root(rng)} {suffix}",
        f"{trade} {root} {suffix}",
    ]
    if locale.country == "MY":
        forms = [forms[0].upper(), forms[0].upper(), f"{rng.choice(words['prefixes'])} {root.upper()} {suffix}"]
    name = " ".join(rng.choice(forms).split())
    if " " not in name:
        name = " ".join(forms[0].split())
    return _party(rng, locale, name, root)


def make_person(rng: Random, locale: Locale) -> Party:
    """Return an invented private customer."""
    name = f"{rng.choice(locale.words['first'])} {rng.choice(locale.words['last'])}"
    return _party(rng, locale, name, make_root(rng))


def _party(rng: Random, locale: Locale, name: str, root: str) -> Party:
    place = locale.place
    return Party(
        name,
        make_address(rng, locale),
        numbers.fill_pattern(rng, rng.choice(place["phone"])),
        numbers.make_tax_number(rng, locale.country),
        numbers.make_iban(rng, locale.country),
        f"www.{root.lower()}.{place['domain']}",
    )


def make_address(rng: Random, locale: Locale) -> tuple[str, ...]:
    """Return the printed lines of an address, from one to four."""
    place = locale.place
    street = rng.choice(place["streets"]).format(
        n=rng.randint(1, 199), n2=rng.randint(200, 240), k=rng.randint(2, 9), k2=rng.randint(1, 30),
        root=make_root(rng), root2=make_root(rng),
    )  # fmt: skip
    city = rng.choice(place["cities"])
    if locale.country == "MY":
        return _malaysian_lines(rng, f"{street}, {city}".upper())
    style = rng.random()
    if style < 0.08:
        return (f"{street}, {city}",)
    if style < 0.3:
        return (street + ",", city)
    if style < 0.45 and "," in street:
        head, tail = street.split(",", 1)
        return (head, tail.strip(), city)
    return (street, city)


def _malaysian_lines(rng: Random, text: str) -> tuple[str, ...]:
    lines, limit = [""], rng.randint(18, 34)
    parts = text.split(", ")
    for index, part in enumerate(parts):
        piece = part + ("," if index < len(parts) - 1 else rng.choice(["", "", ".", ","]))
        if lines[-1] and len(lines[-1]) + len(piece) > limit:
            lines.append(piece)
        else:
            lines[-1] = f"{lines[-1]} {piece}".strip()
    return tuple(lines)


@dataclass(frozen=True)
class LineItem:
    """One row of what was sold."""

    description: str
    code: str
    quantity: Decimal
    unit_price: Decimal
    rate: Decimal

    @property
    def total(self) -> Decimal:
        """Return quantity times price in cents."""
        return numbers.cents(self.quantity * self.unit_price)


@dataclass
class Sale:
    """The content of an invoice or receipt; `tax` None means that the document names no tax."""

    locale: Locale
    supplier: Party
    payer: Party | None
    number: str
    date: dt.date
    due: dt.date
    po_number: str
    items: list[LineItem]
    discount: Decimal
    included: bool
    taxed: bool
    subtotal: Decimal = Decimal(0)
    tax: Decimal = Decimal(0)
    total: Decimal = Decimal(0)
    by_rate: list[tuple[Decimal, Decimal, Decimal]] = field(default_factory=list)
    """Rate, net and tax of each rate."""

    def settle(self) -> Sale:
        """Compute the sums and return self: net + tax = total, whichever way prices were printed."""
        rates = sorted({i.rate for i in self.items})
        for index, rate in enumerate(rates):
            amount = sum((i.total for i in self.items if i.rate == rate), Decimal(0))
            amount -= self.discount if index == 0 else 0
            tax = numbers.cents(amount * rate / (100 + rate if self.included else 100)) if self.taxed else Decimal(0)
            self.by_rate.append((rate, amount - tax if self.included else amount, tax))
        self.subtotal = sum((net for _, net, _ in self.by_rate), Decimal(0))
        self.tax = sum((tax for _, _, tax in self.by_rate), Decimal(0))
        self.total = self.subtotal + self.tax
        return self

    @property
    def gross(self) -> Decimal:
        """Return the sum of the printed rows."""
        return sum((i.total for i in self.items), Decimal(0))


def make_sale(rng: Random, locale: Locale, row_count: int, small: bool) -> Sale:
    """Return an invented sale of `row_count` rows; `small` gives shop prices and prices that mostly include tax."""
    date = dt.date(2012, 1, 1) + dt.timedelta(days=rng.randint(0, 5000))
    rates = [Decimal(str(r)) for r in locale.place["tax_rates"]]
    used = rates[:1] if rng.random() < 0.75 else rates[:2]
    items = [_make_item(rng, locale, rng.choice(used), small) for _ in range(row_count)]
    if not small:
        items = _with_service_period(locale, date, items)
    gross = sum((i.total for i in items if i.rate == min(used)), Decimal(0))
    discounted = rng.random() < (0.12 if small else 0.18) and any(i.rate == min(used) for i in items)
    payer = (make_person if rng.random() < 0.3 else make_company)(rng, locale)
    return Sale(
        locale,
        make_company(rng, locale),
        payer if not small and rng.random() < 0.94 else None,
        numbers.make_document_number(rng, date.year, date.month),
        date,
        date + dt.timedelta(days=rng.choice([0, 7, 10, 14, 15, 21, 30, 30, 45, 60])),
        numbers.fill_pattern(rng, rng.choice(["PO####", "BC#####", "########", "P0####-#", "45########", "PO-####/#"])),
        items,
        numbers.cents(gross * Decimal(rng.choice([5, 10, 15])) / 100) if discounted else Decimal(0),
        rng.random() < (0.6 if small else 0.15),
        rng.random() < (0.75 if small else 0.9),
    ).settle()


def _with_service_period(locale: Locale, date: dt.date, items: list[LineItem]) -> list[LineItem]:
    """Return the items of a sale, those of one in five with the month they were served in, as a hoster prints it.

    Its dates stand nearer to amounts than the document's own one, and must not be taken for it.
    """
    rng = Random(f"{date} {items[0].code}")  # its own, so that what else is drawn from a seed stays as it was
    if rng.random() >= 0.2:
        return items
    last = date.replace(day=1) - dt.timedelta(days=1) if rng.random() < 0.5 else date
    period = f"{locale.date(last.replace(day=1))}{rng.choice(['-', ' - ', ' – '])}{locale.date(last)}"
    period = rng.choice(["", "", "("]) + period
    period += ")" if period.startswith("(") else ""
    served = items[: rng.choice([1, len(items)])]
    return [replace(i, description=f"{i.description} {period}") for i in served] + items[len(served) :]


def _make_item(rng: Random, locale: Locale, rate: Decimal, small: bool) -> LineItem:
    description = rng.choice(locale.words["items"])
    if rng.random() < 0.2:
        description += " " + numbers.fill_pattern(rng, rng.choice(["##-##", "X###", "(#)", "MK#", "####"]))
    whole = Decimal(
        rng.choice([1, 1, 1, 2, 3, 4, 5, 6, 10, 12, 24]) if small else rng.choice([1, 1, 2, 3, 4, 5, 8, 10, 12, 20, 45])
    )
    quantity = whole + (Decimal(rng.randint(1, 3)) / 4 if rng.random() < 0.08 else 0)
    ceiling = rng.choice([500, 2000, 6000]) if small else rng.choice([3000, 20000, 90000, 450000])
    if locale.country == "MY":
        ceiling = min(ceiling, 12000)
    price = Decimal(rng.randint(90, ceiling)) / 100
    if rng.random() < 0.4:
        price = Decimal(int(price) or 1) + Decimal(rng.choice(["0.00", "0.50", "0.90", "0.95", "0.99"]))
    code = numbers.fill_pattern(rng, rng.choice(["####", "#######", "A-####", "FN_####", "##########", "SKU###"]))
    return LineItem(description, code, quantity, price, rate)
