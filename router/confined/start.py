"""The first thing that a confined process runs: loads what the script needs, gives up its rights, runs the script."""

from __future__ import annotations

import importlib
import runpy


def main(arguments: list[str]) -> None:
    """Run a script; the arguments are its path and the modules that are loaded before."""
    script, *preload = arguments
    for name in preload:
        importlib.import_module(name)
    runpy.run_path(script, run_name="__main__")
