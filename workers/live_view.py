"""How a running stack looks in a terminal. Draws what it is given and knows nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from workers.console import printable
from workers.jobs import STAGES, Job
from workers.queue_watch import ServiceSight
from workers.stack_process import StackProcess
from workers.stack_pulse import Beat

COLOURS = {"done": "green", "done_with_gaps": "yellow", "needs_review": "yellow", "failed": "red", "cancelled": "dim"}
MESSAGES = 4


def live_view(
    beat: Beat, processes: Iterable[StackProcess], places: Sequence[tuple[str, str]], said: Sequence[str], now: float
) -> RenderableType:
    """Return the whole view; `now` is the monotonic clock's time, for how long processes have run."""
    parts: list[RenderableType] = [_places(places), Text()]
    if beat.sight is None:
        parts.append(Text(printable(beat.problem or "starting"), style="red" if beat.problem else "dim"))
    else:
        side_by_side = Table.grid(padding=(0, 5, 0, 0))
        side_by_side.add_row(_queues(beat.sight), _processes(processes, now))
        parts += [side_by_side, Text(), _summary(beat), Text(), _results(beat.results)]
    parts += [Text(printable(line), style="yellow") for line in said[-MESSAGES:]]
    return Group(*parts, Text("Ctrl-C stops", style="dim"))


def plain_line(beat: Beat) -> str:
    """Return how things stand in one line, for where there is no terminal."""
    if beat.sight is None:
        return beat.problem
    waiting = ", ".join(f"{stage} {beat.sight.waiting[stage]}" for stage in STAGES)
    states = ", ".join(f"{state} {count}" for state, count in beat.sight.jobs.items() if count)
    share = beat.sight.escalation_share
    escalated = "" if share is None else f", {share:.0%} of fields escalated"
    return f"waiting: {waiting}; jobs: {states or 'none'}; {beat.per_minute:.0f} a minute{escalated}"


def _places(places: Sequence[tuple[str, str]]) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    for name, where in places:
        table.add_row(Text(name, style="dim"), Text(printable(where), style="cyan"))
    return table


def _queues(sight: ServiceSight) -> Table:
    table = _table("queue", "waiting", "high", "oldest")
    for stage in STAGES:
        waiting, high, oldest_s = sight.waiting[stage], sight.depth[stage]["high"], sight.oldest_s[stage]
        style = "" if waiting else "dim"
        cells = (stage, str(waiting), str(high), span(oldest_s) if waiting else "")
        table.add_row(*(Text(cell, style=style) for cell in cells))
    return table


def _processes(processes: Iterable[StackProcess], now: float) -> Table:
    table = _table("process", "pid", "up", "restarts")
    for process in processes:
        running = process.pid is not None
        state = (
            Text(str(process.pid), style="green" if process.was_ready else "dim") if running else Text("down", "red")
        )
        restarts = Text(str(process.restarts or ""), style="yellow")
        table.add_row(process.name, state, span(now - process.started_at) if running else "", restarts)
    return table


def _summary(beat: Beat) -> Text:
    assert beat.sight is not None
    text = Text.assemble((f"{beat.per_minute:.0f}", "bold"), " documents a minute")
    for state, count in beat.sight.jobs.items():
        if count:
            text.append("   ").append(f"{count}", style=f"bold {COLOURS.get(state, '')}").append(f" {state}")
    share = beat.sight.escalation_share
    if share is not None:
        text.append("   ").append(f"{share:.0%}", style="bold").append(" of fields escalated")
    if beat.sight.dead_letters:
        text.append(f"   {beat.sight.dead_letters} dead letters: docroute dead list", style="red")
    if beat.sight.aside_messages:
        text.append(f"   {beat.sight.aside_messages} messages put aside: docroute dead list --messages", style="red")
    return text


def _results(jobs: Sequence[Job]) -> RenderableType:
    if not jobs:
        return Text("no results yet:  docroute submit FILE_OR_FOLDER", style="dim")
    table = _table("ended", "document", "state", "least sure", "took")
    for job in jobs:
        ended = datetime.fromtimestamp(job.finished_at or 0.0).strftime("%H:%M:%S")
        name = job.spec.uri.rpartition("/")[2] or job.spec.document_id[:12]
        sure = "" if job.lowest_confidence is None else f"{job.lowest_confidence:.2f}"
        took = span((job.finished_at or job.created_at) - job.created_at)
        state = Text(job.state, style=COLOURS.get(job.state, ""))
        table.add_row(ended, Text(printable(name)[:48]), state, sure, took)
    return table


def span(seconds: float) -> str:
    """Return a time span in one unit that is short to read."""
    for unit_s, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * unit_s:
            return f"{seconds / unit_s:.0f} {unit}"
    return f"{seconds:.0f} s" if seconds >= 10 else f"{max(seconds, 0.0):.1f} s"


def _table(*columns: str) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for at, name in enumerate(columns):
        table.add_column(name, justify="left" if at == 0 or name in {"document", "state", "process"} else "right")
    return table
