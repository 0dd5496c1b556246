"""`docroute backends` and `docroute schema`: what is there to use."""

from __future__ import annotations

from typing import Annotated

import typer

from backends import registry
from router.schema import builtin, builtin_names, load_schema
from workers.console import backends_table, output_console, schema_table
from workers.settings import load_settings


def backends() -> None:
    """List the backends, which lane each serves, and what helps where one is not installed or not usable."""
    lanes = load_settings().lanes
    used: dict[str, str] = {}
    for lane, name in (("fast", lanes.fast), ("deep", lanes.deep)):
        used[name] = f"{used[name]}, {lane}" if name in used else lane
    output_console().print(backends_table(registry.available(lanes.options_of), used))


def schema(
    name: Annotated[
        str | None, typer.Argument(help="Built-in name or a .toml/.json file.", metavar="[NAME|FILE]")
    ] = None,
) -> None:
    """Show the fields of a schema, or list the built-in schemas.

    A schema of your own is a TOML or JSON file; [cyan]docroute schema FILE[/cyan] checks it:

      name = "delivery_note"

      [[fields]]

      name = "note_number"

      kind = "identifier"      # text, date, amount, identifier, boolean, enum or table

      labels = ["delivery note no", "lieferschein-nr"]
    """
    stdout = output_console()
    if name is not None:
        stdout.print(schema_table(load_schema(name)))
        return
    for known in builtin_names():
        found = builtin(known)
        stdout.print(f"[bold]{known}[/bold]  [dim]{found.description}, {len(found.fields)} fields[/dim]")
