"""`docroute dead ... --messages`: messages that no worker can act on. Knows the terminal and the quarantine."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing
from typing import TYPE_CHECKING

import typer
from pydantic import JsonValue
from rich.console import Console
from rich.table import Table
from rich.text import Text

from workers.console import output_console, plain_table, printable
from workers.job_view import moment
from workers.jsonl import dump_line

if TYPE_CHECKING:
    from workers.quarantine import AsideMessage, Quarantine


def open_quarantine() -> closing[Quarantine]:
    """Return what was put aside in the service of this process's settings."""
    from workers.broker import Server
    from workers.quarantine import Quarantine
    from workers.settings import load_settings

    return closing(Quarantine(Server(load_settings().service.broker)))


def list_messages(limit: int, json: bool) -> None:
    """Print what was put aside, newest first."""
    with open_quarantine() as quarantine:
        messages = quarantine.messages(limit)
    if json:
        for message in messages:
            print(dump_line({"kind": "message"} | message_json(message)))
    elif messages:
        output_console().print(messages_table(messages))
    else:
        output_console().print("[dim]no message was put aside[/dim]")


def show_message(message_id: str) -> None:
    """Print one message as it came; exit with 1 where it is not there."""
    with open_quarantine() as quarantine:
        message = quarantine.get(message_id)
    if message is None:
        told = f"{message_id} is not on the list (docroute dead list --messages)"
        Console(stderr=True).print(printable(told), soft_wrap=True, markup=False)
        raise typer.Exit(1)
    stdout = output_console()
    for name, value in message_json(message).items():
        if name != "raw":
            stdout.print(Text(printable(f"{name}: {moment(message.at) if name == 'at' else value}")))
    stdout.print(Text("\n" + printable(raw_text(message)), style="dim"))
    if message.is_cut:
        stdout.print(Text(f"... cut: the first {len(message.raw):,} of {message.size_bytes:,} bytes", style="yellow"))


def listed_ids(quarantine: Quarantine) -> list[str]:
    """Return the ids of all that was put aside and not cut off the list yet."""
    from workers.quarantine import MOST_MESSAGES

    return [message.id for message in quarantine.messages(MOST_MESSAGES)]


def messages_table(messages: Iterable[AsideMessage]) -> Table:
    """Return one row for each message."""
    table = plain_table()
    for name in ("message", "at", "queue"):
        table.add_column(name, no_wrap=True)
    table.add_column("sender", overflow="fold")
    table.add_column("put aside because", overflow="fold")
    for message in messages:
        sender, reason = Text(printable(message.sender or "-")), Text(printable(message.reason))
        table.add_row(message.id, moment(message.at), Text(printable(message.queue or "-")), sender, reason)
    return table


def message_json(message: AsideMessage) -> dict[str, JsonValue]:
    """Return a message as JSON; `raw` is its text, bytes that are none written as \\xNN."""
    fields: dict[str, JsonValue] = message.model_dump(mode="json", exclude={"raw"})
    return fields | {"cut": message.is_cut, "raw": raw_text(message)}


def raw_text(message: AsideMessage) -> str:
    """Return the bytes of a message as text."""
    return message.raw.decode("utf-8", "backslashreplace")
