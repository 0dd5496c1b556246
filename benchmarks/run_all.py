"""Runs every measurement of benchmarks/README.md in turn; what needs labelled documents is left out without --data.

    python -m benchmarks.run_all [--data DATA]

Takes about an hour on two cores the first time, most of it for reading and fitting; what was read is kept in .cache.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from rich.console import Console

SYNTHETIC = [
    ["benchmarks.tables", "synth", "--kind", k, "--seeds", "9000:9060"]
    for k in ("invoice", "receipt", "bank_statement")
]
SERVICE = [
    ["benchmarks.service_load", "--write"],
    ["benchmarks.service_scaling", "--write"],
    ["benchmarks.store_size"],
    ["benchmarks.service_faults", "--write"],
]
LABELLED = [
    "benchmarks.readings",
    "benchmarks.train_scorer",
    "benchmarks.lanes",
    "benchmarks.degraded",
    "benchmarks.fit_score",
    "benchmarks.speed",
]


def main() -> int:
    """Return the exit status of the first measurement that failed, 0 when all ran."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder with receipts/, invoices/ and pdfs/ and their keys")
    data = parser.parse_args().data
    console = Console()
    for command in SYNTHETIC + SERVICE + ([[module, str(data)] for module in LABELLED] if data else []):
        console.rule(" ".join(command))
        status = subprocess.run([sys.executable, "-m", *command], check=False).returncode
        if status:
            console.print(f"[red]{command[0]} ended with status {status}")
            return status
    if data is None:
        console.print("accuracy, confidence, routing and speed need labelled documents: --data FOLDER")
    return 0


if __name__ == "__main__":
    sys.exit(main())
