"""Chooses among readings of fields that arithmetic ties together. Knows readings and relations, no page or model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import product
from math import prod

from router.arithmetic import decimal_of
from router.types import FieldValue

_MAX_ALTERNATIVES = 3
_MIN_JOINT_RATIO = 0.01
_ALTERNATIVE_PROBABILITY = 0.02
Relation = Callable[[tuple[Decimal, ...]], bool]


@dataclass(frozen=True)
class Option:
    """One reading a field may take, and how probable it is. `main`: a lane's first answer, not an alternative."""

    reading: FieldValue
    probability: float
    from_deep: bool
    main: bool = True


def options_of(reading: FieldValue, probability: float, from_deep: bool) -> list[Option]:
    """Return a lane's answer and its best few alternatives as options, those without a number left out."""
    options = [Option(reading, probability, from_deep)]
    for other in reading.alternatives[:_MAX_ALTERNATIVES]:
        p = _ALTERNATIVE_PROBABILITY if other.confidence is None else other.confidence
        options.append(Option(other, min(p, probability), from_deep, main=False))
    return [o for o in options if o.reading.present and decimal_of(o.reading.value) is not None]


def best_combination(
    options: Mapping[str, Sequence[Option]], current: Mapping[str, FieldValue], holds: Relation
) -> dict[str, Option] | None:
    """Return the most probable combination for which the relation holds, or None when nothing believable does.

    The current choice stays when it satisfies the relation. A combination a hundred times less probable than the most
    probable one is taken for chance; so is one of alternatives in which a number is zero, as the relation says little.
    """
    names = list(options)
    if any(not options[n] for n in names):
        return None
    kept = [next((o for o in options[n] if o.reading.value == current[n].value), None) for n in names]
    if all(o is not None for o in kept) and holds(tuple(_number(o) for o in kept if o is not None)):
        return {n: o for n, o in zip(names, kept, strict=True) if o is not None}
    likeliest = prod(max(o.probability for o in options[n]) for n in names)
    best: tuple[float, tuple[Option, ...]] | None = None
    for combination in product(*(options[n] for n in names)):
        joint = prod(o.probability for o in combination)
        if joint < likeliest * _MIN_JOINT_RATIO or (best is not None and joint <= best[0]):
            continue
        numbers = tuple(_number(o) for o in combination)
        if holds(numbers) and (all(numbers) or all(o.main for o in combination)):
            best = (joint, combination)
    return dict(zip(names, best[1], strict=True)) if best else None


def _number(option: Option) -> Decimal:
    return decimal_of(option.reading.value) or Decimal(0)
