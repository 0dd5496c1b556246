"""What the terminal shows: tables, bars, the summary. Reads nothing and decides nothing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from rich.console import Console, Group
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from backends.registry import BackendInfo
from router.schema import FieldSpec, Schema
from router.score import INTERCEPT
from router.types import ComplexityScore
from workers.local import Outcome
from workers.serialise import Json

_VALUE_CHARS = 44
_FIELDS_SHOWN = 40
_PIPE_WIDTH = 120
STATUS_STYLE = {"done": "green", "done_with_gaps": "yellow", "needs_review": "yellow", "failed": "red"}
"""Colours of how a document ended."""
UNCALIBRATED = "not calibrated for these lanes"
UNCALIBRATED_NOTE = Text(f"confidence is {UNCALIBRATED}\n", style="yellow")


def confidence_style(confidence: float | None) -> str:
    """Return the colour of a confidence: sure, doubtful, unsure, unknown."""
    if confidence is None:
        return "dim"
    return "green" if confidence >= 0.9 else "yellow" if confidence >= 0.6 else "red"


def printable(text: str) -> str:
    """Return text from a document or a file name with nothing in it that a terminal would obey."""
    return "".join(c if c.isprintable() else " " if c.isspace() else "\ufffd" for c in text)


@dataclass
class Tally:
    """Counts over a run."""

    documents: int = 0
    failed: int = 0
    fields: int = 0
    escalated: int = 0
    deep_documents: int = 0
    pages: int = 0
    uncalibrated: int = 0
    statuses: dict[str, int] = field(default_factory=dict)

    def add(self, outcome: Outcome) -> None:
        """Count one document."""
        self.pages += outcome.pages
        result = outcome.result
        if result is None:
            self._count("failed")
        else:
            self._count(result.status, len(result.fields), len(result.escalated_fields), result.route.tier)
            self.uncalibrated += not result.calibrated

    def add_line(self, line: Json) -> None:
        """Count one document by the JSON of its result."""
        route = line.get("route", {})
        self._count(line["status"], len(line["fields"]), len(line.get("escalated_fields", ())), route.get("tier", ""))
        self.uncalibrated += line.get("calibrated") is False  # results of before have no such key

    def is_first_uncalibrated(self, line: Json) -> bool:
        """Return whether the result counted last is the first whose confidences are not calibrated."""
        return self.uncalibrated == 1 and line.get("calibrated") is False

    def _count(self, status: str, fields: int = 0, escalated: int = 0, tier: str = "") -> None:
        self.documents += 1
        self.statuses[status] = self.statuses.get(status, 0) + 1
        self.failed += status in {"failed", "cancelled"}
        self.fields += fields
        self.escalated += escalated
        self.deep_documents += tier == "deep"

    @property
    def escalated_share(self) -> float:
        """Share of all fields that review sent to the deep lane."""
        return self.escalated / self.fields if self.fields else 0.0

    def line(self, elapsed_s: float, rated: bool = True) -> str:
        """Return the summary in one line, with a rate where that many documents were read in that time."""
        parts = [_count(self.documents, "document")]
        if self.failed:
            parts.append(f"{self.failed} failed")
        if review := self.statuses.get("needs_review", 0):
            parts.append(f"{review} to review")
        parts.append(_count(self.fields, "field"))
        parts.append(f"{self.escalated} escalated ({self.escalated_share:.1%})")
        if self.deep_documents:
            parts.append(f"{_count(self.deep_documents, 'document')} straight to the deep lane")
        rate = self.documents / elapsed_s * 3600 if elapsed_s else 0.0
        return ", ".join(parts) + f" in {elapsed_s:.1f} s" + (f" ({rate:,.0f} documents an hour)" if rated else "")


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{speed:.1f}/s" if speed else "", style="dim")


def output_console() -> Console:
    """Return the console for results; into a file or pipe it is wide enough for a table."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = max(console.width, _PIPE_WIDTH)
    return console


def progress_bar(console: Console, shown: bool, verb: str = "reading") -> Progress:
    """Return a bar with count, rate and time left, gone when done."""
    return Progress(
        TextColumn(f"[dim]{verb}"),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        _Rate(),
        TimeRemainingColumn(compact=True),
        TextColumn("[dim]{task.description}"),
        console=console,
        transient=True,
        disable=not shown,
    )


def result_table(line: Json, elapsed_s: float) -> Group:
    """Return the JSON of a result as a table: value, confidence by colour, which lane and rule gave it."""
    route, fields, escalated = line["route"], line["fields"], line["escalated_fields"]
    title = Text.assemble(
        (printable(line["file"]), "bold"),
        ("  " + line["schema"], "cyan"),
        ("  " + line["status"].replace("_", " "), STATUS_STYLE[line["status"]]),
        (f"  score {route['score']:.2f} → {route['tier']}  {elapsed_s:.1f} s", "dim"),
    )
    table = plain_table()
    table.add_column("field", no_wrap=True, min_width=max(map(len, fields), default=0))
    table.add_column("value", overflow="ellipsis", no_wrap=True)
    table.add_column("confidence", justify="right", no_wrap=True, min_width=len("confidence"))
    table.add_column("from", no_wrap=True, overflow="ellipsis")
    present = [(name, field) for name, field in fields.items() if field["present"]]
    for name, value in present[:_FIELDS_SHOWN]:
        table.add_row(*_field_row(name, value, name in escalated))
    missing = [name for name, field in fields.items() if not field["present"]]
    open_names = [name for name in missing if fields[name]["rule"] == "unresolved"]
    absent = [name for name in missing if name not in open_names]
    notes = [Text(f"not found: {', '.join(absent)}", style="dim")] if absent else []
    if open_names:
        notes.append(Text(f"no answer: {', '.join(open_names)}", style="yellow"))
    # results of before have no such key
    notes += [Text(f"note: {printable(note)}", style="yellow") for note in line.get("notes", ())]
    return Group(title, table, *(notes or [Text()]))


def _field_row(name: str, value: Json, escalated: bool) -> tuple[Text, Text, Text, Text]:
    confidence = value["confidence"]
    style = confidence_style(confidence)
    rows = value.get("rows")
    text = _count(len(rows), "row") if rows is not None else printable(value["value"] or value["raw"] or "")
    if len(text) > _VALUE_CHARS:
        text = text[: _VALUE_CHARS - 1] + "…"
    shown = "unknown" if confidence is None else f"{confidence:.2f}"
    lane = value["source"]["tier"] if value["source"] else ""
    origin = Text(lane, style="dim")
    if escalated:
        origin = Text(f"{lane}, escalated ({value['rule']})", style="cyan")
    failed = [check["name"] for check in value["checks"] if check["outcome"] == "fail"]
    if failed:
        origin.append(f"  fails {', '.join(failed)}", style="red")
    return Text(name), Text(text, style=style), Text(shown, style=style), origin


def score_table(file: str, score: ComplexityScore, reason: str, tier: str) -> Group:
    """Return a document's features, each with its signed share of the score as a bar."""
    title = Text.assemble(
        (printable(file), "bold"), (f"  score {score.value:.2f} → {tier}", "cyan"), ("\n" + reason, "dim")
    )
    table = plain_table()
    table.add_column("feature")
    table.add_column("signal", justify="right")
    table.add_column("contribution", justify="right")
    table.add_column("easier ◂ ▸ harder", no_wrap=True)
    shares = sorted(score.contributions.items(), key=lambda item: -abs(item[1]))
    largest = max((abs(share) for name, share in shares if name != INTERCEPT), default=1.0) or 1.0
    for name, share in shares:
        signal = score.features.get(name)
        style = "red" if share > 0 else "green"
        value = "" if signal is None else f"{signal:.3f}"
        table.add_row(
            name,
            value,
            Text(f"{share:+.2f}", style=style),
            Text("" if name == INTERCEPT else _signed_bar(share / largest), style=style),
        )
    note = f"hardest page {score.hardest_page}, weights {score.weights_version}, {score.elapsed_ms:.0f} ms"
    return Group(title, table, Text(note, style="dim"))


def _signed_bar(share: float, half: int = 12) -> str:
    length = round(abs(share) * half)
    return " " * half + "│" + "█" * length if share > 0 else " " * (half - length) + "█" * length + "│"


def backends_table(backends: Iterable[BackendInfo], used: dict[str, str]) -> Table:
    """Return the registered backends; `used` maps a backend to the lane it serves."""
    table = plain_table()
    for name in ("backend", "lane", "state", ""):
        table.add_column(name)
    for info in backends:
        detail = f"{info.detail}; {info.hint}" if info.hint else info.detail
        state = Text(info.state, style="green" if info.ready else "yellow")
        table.add_row(Text(info.name), used.get(info.name, ""), state, Text(detail, style="dim"))
    return table


def schema_table(schema: Schema) -> Group:
    """Return a schema's fields, table columns indented below their table."""
    title = Text.assemble(
        (printable(schema.name), "bold"), (printable(f"  version {schema.version}  {schema.description}"), "dim")
    )
    table = plain_table()
    for name in ("field", "kind", "required", "what it is"):
        table.add_column(name)
    for spec in schema.fields:
        _add_spec(table, spec, "")
        for column in spec.columns:
            _add_spec(table, column, "  · ")
    return Group(title, table)


def _add_spec(table: Table, spec: FieldSpec, indent: str) -> None:
    kind = f"{spec.kind}: {', '.join(spec.values)}" if spec.values else spec.kind
    required = "yes" if spec.required else ""
    table.add_row(indent + spec.name, Text(printable(kind), "cyan"), required, Text(printable(spec.description)))


def plain_table() -> Table:
    """Return a table without lines."""
    return Table(box=None, padding=(0, 2, 0, 0), header_style="dim")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
