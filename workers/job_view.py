"""Jobs, their logs and dead letters as people and programs see them. Reads nothing and decides nothing."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence

from rich.console import Group
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from workers.console import STATUS_STYLE, UNCALIBRATED, confidence_style, plain_table, printable
from workers.jobs import Event, Job, State
from workers.redact import redact_callback
from workers.serialise import Json
from workers.store import DeadLetter
from workers.store_webhooks import Webhook

_NAME_CHARS = 40
_STATE_STYLE = {**STATUS_STYLE, "cancelled": "dim"}


def escaped(text: str) -> str:
    """Return text from outside that is safe to print with markup."""
    return escape(printable(text))


def job_json(job: Job, events: Sequence[Event] | None = None) -> Json:
    """Return a job as JSON values, with its log where it is given; times are seconds since the epoch.

    The callback URL comes without its secrets, for what is printed ends up in logs.
    """
    value: Json = job.model_dump(mode="json")
    if job.spec.callback_url:
        value["spec"]["callback_url"] = redact_callback(job.spec.callback_url)
    return value if events is None else value | {"events": [event.model_dump(mode="json") for event in events]}


def jobs_table(jobs: Iterable[Job], now: float) -> Table:
    """Return one row for each job; `now`: seconds since the epoch by the store's clock. Ids are never cut off."""
    shown = list(jobs)
    table = plain_table()
    table.expand = True
    table.add_column("job", no_wrap=True, min_width=max((len(job.id) for job in shown), default=0))
    table.add_column("state", no_wrap=True, min_width=max((len(job.state) for job in shown), default=0))
    table.add_column("stage", no_wrap=True, min_width=len("intake"))
    table.add_column("document", no_wrap=True, overflow="ellipsis", ratio=1)
    table.add_column("age", no_wrap=True, min_width=len("59.9 min"))
    table.add_column("lowest", no_wrap=True, min_width=len("lowest"))
    for job in shown:
        lowest = job.lowest_confidence
        table.add_row(
            job.id,
            state_text(job.state),
            "" if job.is_final else job.stage,
            Text(_end_of(document_name(job))),
            duration(now - job.created_at),
            Text("" if lowest is None else f"{lowest:.2f}", style=confidence_style(lowest)),
        )
    return table


def job_detail(job: Job, events: Sequence[Event]) -> Group:
    """Return all that is known of a job, and its log as a table."""
    title = Text.assemble((job.id, "bold"), "  ", state_text(job.state), (f"  {printable(document_name(job))}", "dim"))
    facts = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    facts.add_column(style="dim")
    facts.add_column()
    for name, value in _facts(job):
        facts.add_row(Text(printable(name)), Text(printable(value)))
    return Group(title, facts, Text(), events_table(events))


def events_table(events: Sequence[Event]) -> Table:
    """Return a job's log, oldest first; `where` is the stage, with the attempt from the second on."""
    table = plain_table()
    for name in ("when", "what", "where"):
        table.add_column(name, no_wrap=True)
    table.add_column("detail", overflow="fold")
    for event in events:
        attempt = f" {event.attempt}" if event.attempt > 1 else ""
        detail = Text(printable(event.detail))
        if event.worker:
            detail.append(f"{' ' if event.detail else ''}({printable(event.worker)})", style="dim")
        table.add_row(moment(event.at), event.kind, f"{event.stage or ''}{attempt}", detail)
    return table


def letters_table(letters: Iterable[DeadLetter], now: float) -> Table:
    """Return one row for each dead letter."""
    table = plain_table()
    shown = list(letters)
    table.add_column("job", no_wrap=True, min_width=max((len(letter.job_id) for letter in shown), default=0))
    for name in ("stage", "attempts", "age"):
        table.add_column(name, no_wrap=True, min_width=len(name))
    table.add_column("error", overflow="fold")
    for letter in shown:
        error = Text(printable(letter.error))
        table.add_row(letter.job_id, letter.stage, str(letter.attempts), duration(now - letter.at), error)
    return table


def webhook_json(webhook: Webhook) -> Json:
    """Return a notification as JSON values, its URL without secrets."""
    value: Json = webhook.model_dump(mode="json")
    return value | {"url": redact_callback(webhook.url)}


def webhooks_table(webhooks: Iterable[Webhook]) -> Table:
    """Return one row for each notification that was given up."""
    table = plain_table()
    shown = list(webhooks)
    table.add_column("webhook of job", no_wrap=True, min_width=max((len(one.id) for one in shown), default=0))
    table.add_column("tries", no_wrap=True, min_width=len("tries"))
    table.add_column("url", overflow="fold")
    table.add_column("error", overflow="fold")
    for webhook in shown:
        url, error = Text(printable(redact_callback(webhook.url))), Text(printable(webhook.error))
        table.add_row(webhook.id, str(webhook.attempts), url, error)
    return table


def document_name(job: Job) -> str:
    """Return what a job's document is called."""
    return job.spec.uri or job.spec.document_id[:12]


def state_text(state: State) -> Text:
    """Return a state in its colour."""
    return Text(state.replace("_", " "), style=_STATE_STYLE.get(state, "cyan"))


def moment(at: float) -> str:
    """Return a time of the store as local date and time."""
    return dt.datetime.fromtimestamp(at).strftime("%Y-%m-%d %H:%M:%S")


def duration(seconds: float) -> str:
    """Return a span in its largest fitting unit."""
    for unit, name in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= unit:
            return f"{seconds / unit:.1f} {name}"
    return f"{max(seconds, 0):.0f} s"


def _end_of(name: str) -> str:
    shown = printable(name)
    return shown if len(shown) <= _NAME_CHARS else "…" + shown[1 - _NAME_CHARS :]


def _facts(job: Job) -> Iterable[tuple[str, str]]:
    spec = job.spec
    yield "document", spec.document_id
    yield "asked for", f"schema {spec.schema_name}, tier {spec.tier}, priority {spec.priority}"
    if spec.notice:
        yield "notice", f"{spec.notice}: its sender asked for {spec.asked_id}, the id of another job"
    if not job.is_final:
        yield "stage", f"{job.stage}, {job.attempts} attempts begun"
    if job.lease:
        yield "worked on by", f"{job.lease.worker}, lease until {moment(job.lease.until)}"
    yield "created", moment(job.created_at)
    if job.finished_at is not None:
        yield "ended", f"{moment(job.finished_at)}, after {duration(job.finished_at - job.created_at)}"
    if job.lowest_confidence is not None:
        note = f" ({UNCALIBRATED})" if job.data.get("calibrated") is False else ""
        yield "lowest confidence", f"{job.lowest_confidence:.2f}{note}"
    if spec.callback_url:
        yield "webhook", redact_callback(spec.callback_url)
    yield from spec.metadata.items()
    if job.error:
        yield "last error", job.error
