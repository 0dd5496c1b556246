"""Numbers, dates and amounts of the synthetic documents: valid where a checksum exists, and printed in many habits.

Knows no layout. ABN: modulus 89 with weights 10, 1, 3 ... 19 after one is taken from the first digit (Australian
Business Register). IBAN: ISO 13616, check digits 98 - (number mod 97).
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from random import Random

CENT = Decimal("0.01")
_ABN_WEIGHTS = (10, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19)
_IBAN_BODIES = {"DE": "d" * 18, "NL": "llll" + "d" * 10, "AT": "d" * 16, "CH": "d" * 17}
_IBAN_DEFAULT = "DE"


def cents(value: Decimal) -> Decimal:
    """Return the value rounded half up to two decimals."""
    return value.quantize(CENT, ROUND_HALF_UP)


def digits(rng: Random, count: int) -> str:
    """Return `count` random digits, the first not zero."""
    return str(rng.randint(1, 9)) + "".join(str(rng.randint(0, 9)) for _ in range(count - 1))


def fill_pattern(rng: Random, pattern: str) -> str:
    """Return the pattern with every # replaced by a digit."""
    return "".join(str(rng.randint(0, 9)) if c == "#" else c for c in pattern)


def make_abn(rng: Random) -> str:
    """Return a valid Australian Business Number of eleven digits."""
    body = [rng.randint(0, 9) for _ in range(9)]
    rest = sum(w * d for w, d in zip(_ABN_WEIGHTS[2:], body, strict=True))
    for first in range(11, 100):
        head = (first // 10 - 1) * 10 + first % 10
        if (head + rest) % 89 == 0:
            return f"{first}{''.join(map(str, body))}"
    return make_abn(rng)


def make_iban(rng: Random, country: str) -> str:
    """Return a valid IBAN without spaces; a country without a known body gets a German one."""
    code = country if country == "FR" or country in _IBAN_BODIES else _IBAN_DEFAULT
    if code == "FR":
        body = _french_account(rng)
    else:
        kinds = {"d": "0123456789", "l": "ABEGIKNORST"}
        body = "".join(rng.choice(kinds[k]) for k in _IBAN_BODIES[code])
    spelled = "".join(str(int(c, 36)) for c in f"{body}{code}00")
    return f"{code}{98 - int(spelled) % 97:02d}{body}"


def _french_account(rng: Random) -> str:
    bank, branch, account = digits(rng, 5), digits(rng, 5), digits(rng, 11)
    key = 97 - (89 * int(bank) + 15 * int(branch) + 3 * int(account)) % 97
    return f"{bank}{branch}{account}{key:02d}"


def grouped(text: str, sizes: tuple[int, ...]) -> str:
    """Return the text cut into groups of the given sizes (the last repeats), joined by spaces."""
    parts, position, index = [], 0, 0
    while position < len(text):
        size = sizes[min(index, len(sizes) - 1)]
        parts.append(text[position : position + size])
        position, index = position + size, index + 1
    return " ".join(parts)


def make_tax_number(rng: Random, country: str) -> str:
    """Return a supplier's tax number in the country's shape."""
    if country == "AU":
        return grouped(make_abn(rng), (2, 3, 3, 3)) if rng.random() < 0.8 else make_abn(rng)
    shapes = {
        "US": "##-#######", "GB": "GB#########", "IN": "29ABCPK####L1Z#", "SG": "M#-#######-#", "MY": "00#########",
        "DE": "DE#########", "AT": "ATU########", "CH": "CHE-###.###.### MWST", "FR": "FR## ### ### ###",
        "BE": "BE 0###.###.###", "NL": "NL#########B01", "ES": "B########", "IT": "IT0##########",
    }  # fmt: skip
    return fill_pattern(rng, shapes[country])


@dataclass(frozen=True)
class MoneyFormat:
    """How amounts are printed: number habit, symbol, whether before or after it, and whether a space stands between."""

    pattern: str
    symbol: str
    before: bool
    spaced: bool

    def number(self, value: Decimal) -> str:
        """Return the amount without symbol."""
        plain = f"{abs(cents(value)):,.2f}"
        whole, fraction = plain.split(".")
        mark = "," if self.pattern.endswith(",56") else "."
        separator = self.pattern[1] if not self.pattern[1].isdigit() else ""
        return ("-" if value < 0 else "") + whole.replace(",", separator) + mark + fraction

    def money(self, value: Decimal) -> str:
        """Return the amount with its symbol."""
        gap = " " if self.spaced else ""
        number = self.number(value)
        return f"{self.symbol}{gap}{number}" if self.before else f"{number}{gap}{self.symbol}"


def make_money_format(rng: Random, country: dict[str, list[str]], currency: str) -> MoneyFormat:
    """Return a printing habit usual in the country."""
    symbol = rng.choice(country["symbols"])
    before = currency in {"AUD", "USD", "GBP", "INR", "SGD", "MYR", "CHF"} or rng.random() < 0.3
    letters = symbol[-1].isalpha() or symbol.endswith(".")
    spaced = letters or (not before and rng.random() < 0.9) or (symbol == "€" and rng.random() < 0.6)
    if symbol == "RM" and rng.random() < 0.4:
        spaced = False
    return MoneyFormat(rng.choice(country["numbers"]), symbol, before, spaced)


def format_date(day: dt.date, pattern: str, months: list[str], short_months: list[str]) -> str:
    """Return the date in a pattern of {d} {dd} {m} {mm} {mon} {MON} {month} {yy} {yyyy}."""
    short = short_months[day.month - 1]
    return pattern.format(
        d=day.day, dd=f"{day.day:02d}", m=day.month, mm=f"{day.month:02d}", mon=short, MON=short.upper(),
        month=months[day.month - 1], yy=f"{day.year % 100:02d}", yyyy=day.year,
    )  # fmt: skip


def make_document_number(rng: Random, year: int, month: int) -> str:
    """Return an invoice or receipt number in one of many habits."""
    pattern = rng.choice(
        ["INV-####", "INV#####", "INV/{y}/#####", "{y}-####", "########", "######", "FA{m}/{y}/######", "RE-{y}-####",
         "CS########", "A####", "#####/{y}", "F{y}{m}-####", "R#########", "V-######", "SI-#####", "{y}{m}####",
         "IV########",
         "OR####-###", "R#########", "#-#####", "MIV######", "B/{y}/###", "###-#######-#######"]
    )  # fmt: skip
    return fill_pattern(rng, pattern.format(y=year, m=f"{month:02d}"))
