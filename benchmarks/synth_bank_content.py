"""What a synthetic bank statement says. Knows no layout.

Opening balance plus credits minus debits is the closing balance, and every row's balance is the running one.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from decimal import Decimal
from random import Random

from benchmarks import synth_numbers as numbers
from benchmarks.synth_content import Locale, Party, lexicon, make_company, make_person, make_root


@dataclass
class Movement:
    """One transaction; exactly one of debit and credit is set."""

    date: dt.date
    description: str
    debit: Decimal | None
    credit: Decimal | None
    balance: Decimal


@dataclass
class Account:
    """The content of a statement."""

    bank: Party
    bank_name: str
    holder: Party
    number: str
    bsb: str | None
    opening: Decimal
    start: dt.date
    end: dt.date
    movements: list[Movement]

    @property
    def closing(self) -> Decimal:
        """Return the last balance."""
        return self.movements[-1].balance if self.movements else self.opening


def bank_words(locale: Locale) -> dict[str, list[str]]:
    """Return the words of statements in the document's language, English where it has none of its own."""
    return {**lexicon()["bank"], **locale.words.get("bank", {})}


def make_account(rng: Random, locale: Locale, count: int) -> Account:
    """Return an invented account with `count` movements."""
    words, eu = bank_words(locale), locale.country != "AU"
    start = dt.date(2015 + rng.randint(0, 10), rng.randint(1, 12), 1)
    end = start + dt.timedelta(days=rng.choice([29, 29, 30, 60, 89]))
    opening = balance = Decimal(rng.randint(50_00, 9_000_00)) / 100
    days = sorted(rng.randint(0, (end - start).days) for _ in range(count))
    movements = []
    for day in days:
        amount = Decimal(rng.randint(2_00, rng.choice([90_00, 400_00, 3_000_00]))) / 100
        credit = rng.random() < 0.3 or balance < amount
        balance += amount if credit else -amount
        text = rng.choice(words["credit_items" if credit else "debit_items"])
        text = text.format(root=make_root(rng).upper(), city=rng.choice(locale.place["cities"]).split()[0].upper())
        if rng.random() < 0.3:
            text += " " + numbers.digits(rng, rng.choice([4, 6, 8]))
        movements.append(
            Movement(
                start + dt.timedelta(days=day), text, None if credit else amount, amount if credit else None, balance
            )
        )
    iban = numbers.grouped(numbers.make_iban(rng, locale.country), (4,))
    number = (
        iban
        if eu
        else rng.choice([numbers.digits(rng, 8), numbers.digits(rng, 9), numbers.grouped(numbers.digits(rng, 8), (4,))])
    )
    name = f"{rng.choice(words['roots'])} {rng.choice(words['eu_kinds' if eu else 'kinds'])}"
    holder = (make_company if rng.random() < 0.4 else make_person)(rng, locale)
    bsb = None if eu else f"{numbers.digits(rng, 3)}-{numbers.digits(rng, 3)}"
    return Account(make_company(rng, locale), name, holder, number, bsb, opening, start, end, movements)
