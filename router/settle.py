"""Settles fields in doubt by the arithmetic of the document. Knows choices and relations, no page or model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from router.arithmetic import equal, total_holds
from router.choice import Choice, Judge
from router.combine import Option, Relation, best_combination, options_of
from router.schema import FieldSpec, Schema
from router.types import FieldValue
from router.validators import field_checks, movement_sum, table_checks, total_roles

_BALANCES = ("opening_balance", "closing_balance")
_UNTESTED = 0.5
_SURE = 0.9


def settle_totals(choices: dict[str, Choice], schema: Schema, judge: Judge) -> None:
    """Settle subtotal, tax and total where one of them is in doubt."""
    if roles := total_roles(schema):
        _settle(choices, roles, lambda n: total_holds(n[0], n[1], n[2]), judge)


def settle_balances(choices: dict[str, Choice], judge: Judge) -> None:
    """Settle opening and closing balance by the movements of the chosen transactions."""
    tables = [c.chosen.rows for c in choices.values() if c.spec.kind == "table" and c.chosen.rows]
    movements = [m for rows in tables if (m := movement_sum(rows)) is not None]
    if movements:
        _settle(choices, _BALANCES, lambda n: equal(n[0] + movements[0], n[1]), judge)


def _settle(choices: dict[str, Choice], names: Sequence[str], holds: Relation, judge: Judge) -> None:
    tied = {n: choices[n] for n in names if n in choices}
    if len(tied) < len(names) or not any(_in_doubt(c) for c in tied.values()):
        return
    options = {n: _options(c, judge) for n, c in tied.items()}
    found = best_combination(options, {n: c.chosen for n, c in tied.items()}, holds)
    for name, option in (found or {}).items():
        if _in_doubt(tied[name]) or option.reading.value != tied[name].chosen.value:
            choices[name] = tied[name].pick(option.reading, option.from_deep, "validator")


def _in_doubt(choice: Choice) -> bool:
    return choice.rule not in ("only", "agree")


def _options(choice: Choice, judge: Judge) -> list[Option]:
    sides = [(choice.fast, False), (choice.deep, True)]
    options: list[Option] = []
    for reading, from_deep in sides:
        if reading is not None:
            score = judge.locate(reading, choice.spec)[0]
            checks = field_checks(reading, choice.spec, judge.today)
            options += options_of(reading, judge.probability(choice, reading, from_deep, checks, score), from_deep)
    if judge.weights.grounding_first:
        options = _standing(options, choice, judge)
    # one sum in hundreds of combinations holds by chance: what is not in doubt must not move for it
    settled = choice.rule == "agree" or (
        choice.rule == "only" and max((o.probability for o in options), default=0) > _SURE
    )
    return [o for o in options if o.reading is choice.chosen] if settled else options


def _standing(options: list[Option], choice: Choice, judge: Judge) -> list[Option]:
    """Return the options that stand on the page, or all where none does: no sum vouches for an invented value."""
    nowhere = [judge.locate(o.reading, choice.spec)[0] == 0.0 for o in options]
    return options if all(nowhere) else [o for o, gone in zip(options, nowhere, strict=True) if not gone]


def settle_tables(choices: dict[str, Choice], judge: Judge) -> None:
    """Choose the table whose arithmetic holds better, where the lanes differ."""
    fields = {name: c.chosen for name, c in choices.items()}
    for name, choice in choices.items():
        if choice.spec.kind == "table" and choice.fast and choice.deep and choice.rule != "agree":
            fast, deep = (_holding_share(choice.spec, r, fields) for r in (choice.fast, choice.deep))
            if max(fast, deep) > _UNTESTED and fast != deep:
                better = choice.deep if deep > fast else choice.fast
                choices[name] = choice.pick(better, deep > fast, "validator")


def _holding_share(spec: FieldSpec, table: FieldValue, fields: Mapping[str, FieldValue]) -> float:
    """Mean share of the table's relations that hold; one half where nothing can be tested."""
    tested = [holds / n for holds, n, _ in table_checks(spec, table.rows or (), fields) if n]
    return sum(tested) / len(tested) if tested else _UNTESTED
