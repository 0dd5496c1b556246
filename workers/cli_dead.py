"""`docroute dead`: jobs that failed for good, webhooks that were given up, and with `--messages` what is in
`cli_dead_messages`. Knows the terminal and the store.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer
from rich.console import Console
from rich.text import Text

from router.errors import MessageError, SettingsError
from workers.cli_dead_messages import list_messages, listed_ids, open_quarantine, show_message
from workers.console import output_console, printable
from workers.following import unknown_jobs
from workers.job_view import job_detail, letters_table, webhook_json, webhooks_table
from workers.jsonl import dump_line

if TYPE_CHECKING:
    from workers.store import Store

MOST = 100_000
Place = TypeVar("Place")
app = typer.Typer(
    no_args_is_help=True, help="Look at jobs that failed for good, webhooks given up, messages put aside."
)
Ids = Annotated[list[str] | None, typer.Argument(help="Jobs, or messages.", metavar="[ID]...")]
AllOption = Annotated[bool, typer.Option("--all", help="Every one there is.")]
Webhooks = Annotated[bool, typer.Option("--webhooks", help="Webhooks that were given up instead of jobs.")]
Messages = Annotated[bool, typer.Option("--messages", help="Messages that were put aside instead of jobs.")]


@app.command("list")
def list_dead(
    limit: Annotated[int, typer.Option(min=1, max=MOST, help="At most so many of each.")] = 50,
    json: Annotated[bool, typer.Option("--json", help="JSON lines on stdout.")] = False,
    messages: Messages = False,
) -> None:
    """List dead letters and given-up webhooks, newest first.

    A job is a dead letter when its last attempt failed, or when it killed its workers. A document that cannot be read
    is none: it is just failed (docroute list --state failed). A message is put aside when no worker can act on it.
    """
    if messages:
        list_messages(limit, json)
        return
    with _store() as store:
        letters, webhooks, now = store.dead(limit), store.dead_webhooks(limit), store.now()
    if json:
        for letter in letters:
            print(dump_line({"kind": "job"} | letter.model_dump(mode="json")))
        for webhook in webhooks:
            print(dump_line({"kind": "webhook"} | webhook_json(webhook)))
        return
    stdout = output_console()
    if letters:
        stdout.print(letters_table(letters, now))
    if webhooks:
        stdout.print(webhooks_table(webhooks))
    if not letters and not webhooks:
        stdout.print("[dim]no dead letters and no given-up webhooks[/dim]")


@app.command("show", no_args_is_help=True)
def show(
    job_id: Annotated[str, typer.Argument(help="A job or message of docroute dead list.", metavar="ID")],
    messages: Messages = False,
) -> None:
    """Show a dead letter: the job, its log, and where its last attempt failed; or a message as it came."""
    if messages:
        show_message(job_id)
        return
    stderr = Console(stderr=True)
    with _store() as store:
        letter = next((letter for letter in store.dead(MOST) if letter.job_id == job_id), None)
        job, events = store.get(job_id), store.events(job_id)
    if job is None:
        stderr.print(printable(unknown_jobs([job_id])), soft_wrap=True, markup=False)
        raise typer.Exit(1)
    stdout = output_console()
    stdout.print(job_detail(job, events))
    if letter is None:
        stderr.print(f"{job.id} is no dead letter; docroute dead list shows them", soft_wrap=True, markup=False)
        raise typer.Exit(1)
    stdout.print(Text("\n" + printable(letter.error), style="red"))
    for line in (letter.traceback or "no traceback: its worker died").splitlines():
        stdout.print(Text(printable(line), style="dim"))


@app.command("retry", no_args_is_help=True)
def retry(ids: Ids = None, every: AllOption = False, webhooks: Webhooks = False, messages: Messages = False) -> None:
    """Let dead jobs (or webhooks) be tried again, with all their attempts; put messages back into their queues.

    [bold]Examples[/bold]

      docroute dead retry 4f1c

      docroute dead retry --all --webhooks        when the receiver is back
    """
    if messages:
        with open_quarantine() as quarantine:
            _each(ids, every, listed_ids, quarantine, quarantine.send_again, "it is in its queue again")
        return
    with _store() as store:
        if webhooks:
            _each(ids, every, _webhook_ids, store, store.revive_webhook, "its webhook is sent again")
        else:
            _each(ids, every, _dead_ids, store, store.revive, "it is tried again")


@app.command("drop", no_args_is_help=True)
def drop(ids: Ids = None, every: AllOption = False, webhooks: Webhooks = False, messages: Messages = False) -> None:
    """Take jobs (or webhooks, messages) off the list; such jobs stay failed until their retention ends."""
    if messages:
        with open_quarantine() as quarantine:
            _each(ids, every, listed_ids, quarantine, quarantine.drop, "it is dropped")
        return
    with _store() as store:
        if webhooks:
            _each(ids, every, _webhook_ids, store, store.drop_webhook, "its webhook is dropped")
        else:
            _each(ids, every, _dead_ids, store, store.drop_dead, "it is dropped")


def _each(
    ids: Sequence[str] | None,
    every: bool,
    listed: Callable[[Place], list[str]],
    store: Place,
    change: Callable[[str], bool],
    told: str,
) -> None:
    """Change the named jobs or all that are listed, and say of each what became of it."""
    if bool(ids) == every:
        raise SettingsError("name jobs, or take --all")
    chosen = listed(store) if every else list(dict.fromkeys(ids or ()))
    missing = 0
    for job_id in chosen:
        problem = _changed(job_id, change)
        missing += bool(problem)
        if problem:
            Console(stderr=True).print(printable(problem), markup=False)
        else:
            print(printable(f"{job_id}  {told}"))
    if not chosen:
        Console(stderr=True).print("nothing is on the list", markup=False)
    if missing:
        raise typer.Exit(1)


def _changed(job_id: str, change: Callable[[str], bool]) -> str:
    """Change one, and return what kept it from being changed."""
    try:
        return "" if change(job_id) else f"{job_id} is not on the list (docroute dead list)"
    except MessageError as exc:
        return str(exc)


def _dead_ids(store: Store) -> list[str]:
    return [letter.job_id for letter in store.dead(MOST)]


def _webhook_ids(store: Store) -> list[str]:
    return [webhook.id for webhook in store.dead_webhooks(MOST)]


def _store() -> closing[Store]:
    from workers.settings import load_settings
    from workers.store_redis import make_store

    return closing(make_store(load_settings().service))
