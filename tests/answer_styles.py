"""The facts of a document written as models write them: one function a style. Knows facts, not the parser.

A style returns the text of an answer; `TABLES` of them write the table too. Styles named in `HELD_OUT` were written
with the others but never looked at while the parser was made.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Row = dict[str, str]

TITLES = {
    "document_type": "Document Type", "business_abn": "ABN", "supplier_name": "Supplier",
    "business_address": "Supplier Address", "payer_name": "Bill To", "payer_address": "Billing Address",
    "invoice_number": "Invoice No", "po_number": "PO Number", "invoice_date": "Invoice Date", "due_date": "Due Date",
    "currency": "Currency", "subtotal_amount": "Subtotal", "gst_amount": "GST", "is_gst_included": "GST Included",
    "total_amount": "Total", "bank_name": "Bank", "bsb_number": "BSB", "account_number": "Account No",
    "account_holder": "Account Name", "statement_period": "Period", "opening_balance": "Opening Balance",

    "business_phone": "Supplier Phone", "supplier_website": "Website",
    "payer_phone": "Customer Phone", "payer_email": "Customer Email", "closing_balance": "Closing Balance",
    "line_items": "Items", "transactions": "Transactions",
}  # fmt: skip
OTHER_COLUMNS = {
    "line_items": {"description": "item", "quantity": "qty", "unit_price": "price", "total_price": "amount"},
    "transactions": {
        "date": "date", "description": "particulars", "debit": "withdrawal", "credit": "deposit", "balance": "balance",
    },
}  # fmt: skip
KINDS = {
    "currency": "identifier", "is_gst_included": "boolean", "document_type": "enum", "line_items": "table",
    "transactions": "table", "invoice_date": "date", "due_date": "date",
}  # fmt: skip


@dataclass(frozen=True)
class Facts:
    """What one document shows: None is a field that it does not show; `columns` in the schema's order."""

    fields: dict[str, str | None]
    table: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]

    def lines(self, form: str, absent: str = "NOT_FOUND", name: Callable[[str], str] = str) -> list[str]:
        """Return one piece of text for each field outside the table."""
        return [form.format(name=name(n), value=absent if v is None else v) for n, v in self.fields.items()]


def _rows_json(facts: Facts, **options: Any) -> str:
    return json.dumps(list(facts.rows), ensure_ascii=False, **options)


def _cells(facts: Facts, row: Row, absent: str = "") -> list[str]:
    return [row.get(column, absent) for column in facts.columns]


def _pipes(facts: Facts, header: list[str] | None, absent: str = "") -> str:
    lines = []
    if header:
        lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return "\n".join([*lines, *("| " + " | ".join(_cells(facts, row, absent)) + " |" for row in facts.rows)])


def _other_rows(facts: Facts) -> list[Row]:
    other = OTHER_COLUMNS[facts.table]
    return [{other[column]: cell for column, cell in row.items()} for row in facts.rows]


def _spoken(name: str) -> str:
    return name.replace("_", " ").title()


def plain_lines(f: Facts) -> str:
    return "\n".join([*f.lines("{name}: {value}"), f"{f.table}: {_rows_json(f)}"])


def numbered(f: Facts) -> str:
    return "\n".join(f"{i}. {line}" for i, line in enumerate(f.lines("{name}: {value}"), 1)) + (
        f"\n{len(f.fields) + 1}. {f.table}: {_rows_json(f)}"
    )


def numbered_bold(f: Facts) -> str:
    lines = f.lines("**{name}**: {value}", "Not provided", _spoken)
    listed = "\n".join(f"{i}. {line}" for i, line in enumerate(lines, 1))
    return f"Here are the extracted details from the document:\n\n{listed}\n\nLet me know if you need anything else!"


def headings(f: Facts) -> str:
    lines = f.lines("{name}: {value}", "N/A", str.upper)
    return "\n\n".join(f"### {i}. {line}" for i, line in enumerate(lines, 1))


def headings_value_below(f: Facts) -> str:
    return "\n\n".join(f.lines("### {name}\n{value}", "Not specified", _spoken))


def key_prefix(f: Facts) -> str:
    return "\n".join(f.lines("KEY: {name}: {value}", "NOT_FOUND.", str.upper))


def prompt_form(f: Facts) -> str:
    return "\n".join(
        f"{n} ({KINDS.get(n, 'amount' if 'amount' in n else 'text')}): {v or 'NOT_FOUND'}" for n, v in f.fields.items()
    ) + (f"\n{f.table} (table): {_rows_json(f)}")


def escaped(f: Facts) -> str:
    return "\n".join(f.lines("- **{name}:** {value}", "NOT\\_FOUND", lambda n: n.replace("_", "\\_")))


def full_width(f: Facts) -> str:
    return "\n".join(f.lines("{name}：{value}"))


def equals(f: Facts) -> str:
    return "\n".join([*f.lines("{name} = {value}", "None"), f"{f.table} = {_rows_json(f)}"])


def field_value_table(f: Facts) -> str:
    lines = f.lines("| {name} | {value} |", "Not shown")
    return "\n".join(["Sure, here it is:", "", "| Field | Value |", "|:------|:-----:|", *lines])


def titles_and_row_table(f: Facts) -> str:
    lines = f.lines("**{name}:** {value}", "N/A (not shown)", lambda n: TITLES[n])
    header = [OTHER_COLUMNS[f.table][column].title() for column in f.columns]
    return "\n".join([*lines, "", f"**{TITLES[f.table]}:**", "", _pipes(f, header, "-")])


def tags(f: Facts) -> str:
    return "<answer>\n" + "\n".join(f.lines("  <{name}>{value}</{name}>")) + "\n</answer>"


def json_plain(f: Facts) -> str:
    return json.dumps(f.fields | {f.table: list(f.rows)}, ensure_ascii=False)


def json_fenced_pretty(f: Facts) -> str:
    body = json.dumps(f.fields | {f.table: _other_rows(f)}, ensure_ascii=False, indent=4)
    return f"```json\n{body}\n```\n\nNote: amounts are as printed."


def python_dict(f: Facts) -> str:
    return str(f.fields | {f.table: list(f.rows)})


def template_first(f: Facts) -> str:
    template = "\n".join(f"{n}: NOT_FOUND" for n in (*f.fields, f.table))
    return template + "\n\n" + plain_lines(f)


def pretty_json_in_lines(f: Facts) -> str:
    return "\n".join([f"{f.table}: {_rows_json(f, indent=2)}", *f.lines("{name}: {value}")])


def yaml_rows(f: Facts) -> str:
    rows = "\n".join("  - " + "\n    ".join(f"{c}: {v}" for c, v in row.items()) for row in f.rows)
    return "\n".join([*f.lines("{name}: {value}", "null"), f"{f.table}:", rows])


def bullet_rows(f: Facts) -> str:
    rows = "\n".join("- " + "; ".join(f"{c}: {v}" for c, v in row.items()) for row in f.rows)
    return "\n".join([f"{f.table}:", rows, *f.lines("{name}: {value}")])


def pipe_rows(f: Facts) -> str:
    rows = "\n".join(" | ".join(_cells(f, row, "-")) for row in f.rows)
    return "\n".join([*f.lines("{name}: {value}", "-"), f"{f.table}:", " | ".join(f.columns), rows])


# the styles from here on are held out


def one_object_a_line(f: Facts) -> str:
    rows = "\n".join(json.dumps(row, ensure_ascii=False) for row in f.rows)
    return "\n".join([*f.lines("{name}: {value}"), f"{f.table}:", rows])


def list_of_pairs(f: Facts) -> str:
    pairs = [{"field": name, "value": value} for name, value in f.fields.items()]
    return json.dumps([*pairs, {"field": f.table, "value": list(f.rows)}], ensure_ascii=False, indent=1)


def value_objects(f: Facts) -> str:
    values = {name: {"value": value, "confidence": "high"} for name, value in f.fields.items()}
    return "assistant\n" + json.dumps({"result": {"fields": values}}, ensure_ascii=False, indent=2)


def semicolons_on_one_line(f: Facts) -> str:
    return "; ".join(f.lines("{name}: {value}"))


def item_blocks(f: Facts) -> str:
    other = OTHER_COLUMNS[f.table]
    blocks = []
    for i, row in enumerate(f.rows, 1):
        blocks.append(f"* **Item {i}:**\n" + "\n".join(f"    + {other[c].title()}: {v}" for c, v in row.items()))
    return "\n".join(
        [*f.lines("* **{name}:** {value}", "Not available", _spoken), f"* **{_spoken(f.table)}:**", *blocks]
    )


def quoted_lines(f: Facts) -> str:
    return "\n".join(f.lines('"{name}": "{value}",'))


def arrows(f: Facts) -> str:
    return "\n".join(f.lines("{name} -> {value}", "not present in the document"))


def csv_rows(f: Facts) -> str:
    def cell(text: str) -> str:
        return f'"{text}"' if "," in text else text

    rows = "\n".join(",".join(map(cell, _cells(f, row))) for row in f.rows)
    return "\n".join([*f.lines("{name}: {value}"), f"{f.table}:", ",".join(f.columns), rows])


def dashes(f: Facts) -> str:
    return "\n".join(f.lines("**{name}** - {value}", "None visible", _spoken))


def field_attributes(f: Facts) -> str:
    return "<fields>\n" + "\n".join(f.lines('<field name="{name}">{value}</field>')) + "\n</fields>"


def key_and_value_lines(f: Facts) -> str:
    return "\n\n".join(f.lines("KEY: {name}\nVALUE: {value}", "Not found"))


DEVELOPED = (
    plain_lines, numbered, numbered_bold, headings, headings_value_below, key_prefix, prompt_form, escaped, full_width,
    equals, field_value_table, titles_and_row_table, tags, json_plain, json_fenced_pretty, python_dict, template_first,
    pretty_json_in_lines, yaml_rows, bullet_rows, pipe_rows,
)  # fmt: skip
HELD_OUT = (
    one_object_a_line, list_of_pairs, value_objects, semicolons_on_one_line, item_blocks, quoted_lines, arrows,
    csv_rows, dashes, field_attributes, key_and_value_lines,
)  # fmt: skip
TABLES = frozenset({
    plain_lines, numbered, prompt_form, equals, titles_and_row_table, json_plain, json_fenced_pretty, python_dict,
    template_first, pretty_json_in_lines, yaml_rows, bullet_rows, pipe_rows, one_object_a_line, list_of_pairs,
    item_blocks, csv_rows,
})  # fmt: skip
