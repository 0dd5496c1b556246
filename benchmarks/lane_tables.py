"""The numbers of `benchmarks.lanes` as tables for people. Knows numbers, not where they come from."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.lane_metrics import SHARES
from benchmarks.lane_outcomes import VARIANTS

Blocks = dict[str, Any]


def show(blocks: Blocks, console: Console) -> None:
    """Print one table a block."""
    console.print(_accuracy(blocks["accuracy"]))
    console.print(_confidence(blocks["confidence"]))
    for source, lines in blocks["cost_quality"].items():
        console.print(_cost_quality(source, lines))
    console.print(_at_budget(blocks["at_budget"]))
    sent = blocks["sent"]
    console.print(
        f"the policy sent {sent['fields_of_all_but_tables']:.1%} of all fields but tables to the deep lane, "
        f"of {sent['documents']:.1%} of the documents"
    )


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left")
    for i, name in enumerate(columns):
        table.add_column(name, justify="left" if i == 0 else "right")
    return table


def _accuracy(sources: Blocks) -> Table:
    table = _table("Exact accuracy; red: merged below the better lane", "field", "n", *VARIANTS)
    for source, fields in sources.items():
        for field, row in fields.items():
            worse = row["merged"] < max(row["fast"], row["deep"]) - 1e-9
            style = "bold" if field == "macro" else None
            cells = [f"{row[v]:.3f}" for v in VARIANTS]
            cells[2] = f"[red]{cells[2]}[/]" if worse else cells[2]
            table.add_row(f"{source} {field}", str(row["n"]), *cells, style=style, end_section=field == "macro")
    return table


def _confidence(sources: Blocks) -> Table:
    measures = list(sources["receipts"]["fast"])
    table = _table("Confidence, with 95 % intervals over documents", "variant", *measures)
    for source, variants in sources.items():
        for variant, row in variants.items():
            cells = [f"{m['value']:.3f}\n[dim]{m['interval'][0]:.2f}-{m['interval'][1]:.2f}[/]" for m in row.values()]
            table.add_row(f"{source} {variant}", *cells, end_section=variant == VARIANTS[-1])
    return table


def _cost_quality(source: str, lines: Blocks) -> Table:
    title = f"Accuracy against the share of fields sent deep: {source}"
    table = _table(title, "line", *(f"{s:.0%}" for s in SHARES), "AIQ")
    for name, line in lines.items():
        table.add_row(name, *(f"{q:.4f}" for q in line["quality"]), f"{line['AIQ']:.4f}")
    return table


def _at_budget(sources: Blocks) -> Table:
    columns = list(sources["all"]["policy"])
    table = _table("At the budget of 10 % of keyed fields", "rule", *(c.replace("_", " ") for c in columns))
    for source, rules in sources.items():
        for name, row in rules.items():
            last = name == list(rules)[-1]
            table.add_row(f"{source} {name}", *(f"{row[c]:.4f}" for c in columns), end_section=last)
    return table
