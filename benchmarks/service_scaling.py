"""How the rate of the service grows with its worker processes, where a lane waits more than it computes.

    python -m benchmarks.service_scaling [--delay-s S] [--documents N] [--rounds N] [--write]

The fast lane is the `fake` backend that waits before it answers, as a lane does that asks a server of models. Documents
are taken through intake first; then one, two and four processes of the fast lane read them, each process with its usual
eight threads, and time counts from the first message to the last result. The documents are as many for each process, so
that every run takes about as long.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.service_load import SCHEMA, prepare
from benchmarks.service_processes import running, running_server
from benchmarks.service_submit import pictures
from workers.app import make_app
from workers.jobs import FINAL, Job, JobSpec
from workers.message import Sender
from workers.runtime import Runtime
from workers.settings import Settings, load_settings
from workers.steps import run_step
from workers.store_redis import make_store
from workers.worker_process import THREADS

OUTPUT = Path("benchmarks/results/service_scaling.json")
PROCESSES = (1, 2, 4)
WARM_UP = 16
"""Documents for each process before the clock starts: threads and connections are made with the first ones."""
DEADLINE_S = 600.0
POLL_S = 0.02


class Bench:
    """A service on a server of its own, and documents that wait for the fast lane."""

    def __init__(self, settings: Settings) -> None:
        self._app = make_app(settings)
        self._store = make_store(settings.service)
        self._due: list[Job] = []
        self._runtime = Runtime(settings, self._store, publish=self._due.append)
        self._made = 0

    def prepare(self, documents: int) -> list[Job]:
        """Take that many documents through intake, and return their jobs."""
        self._due.clear()
        for data in pictures(self._made + documents)[self._made :]:
            document_id = self._runtime.blobs.put_original(data)
            spec = JobSpec(document_id=document_id, uri="load.png", schema_name=SCHEMA.name, tier="fast")
            run_step(self._runtime, "intake", self._store.create(f"scale{self._made}", spec)[0].id, "benchmark")
            self._made += 1
        return list(self._due)

    def rate(self, jobs: Sequence[Job]) -> float:
        """Send the messages of jobs, wait until all have ended, and return how many that are a second."""
        sender, before, started = Sender(self._app), self._ended(), time.perf_counter()
        for job in jobs:
            sender.send(job)
        while self._ended() - before < len(jobs):
            if time.perf_counter() - started > DEADLINE_S:
                raise TimeoutError(f"{self._ended() - before} of {len(jobs)} documents ended")
            time.sleep(POLL_S)
        return len(jobs) / (time.perf_counter() - started)

    def await_workers(self, count: int) -> None:
        """Return when so many workers answer."""
        deadline = time.monotonic() + 120
        while len(self._app.control.ping(timeout=0.5)) < count:
            if time.monotonic() > deadline:
                raise TimeoutError("the workers do not start")

    def _ended(self) -> int:
        counts = self._store.counts()
        return sum(counts[state] for state in FINAL)


def measure(documents: int, delay_s: float, rounds: int) -> dict[str, Any]:
    """Return the rates of one, two and four processes, and how many times that of one they are."""
    rates: dict[int, list[float]] = {processes: [] for processes in PROCESSES}
    with tempfile.TemporaryDirectory(prefix="service-scaling-") as name, running_server(Path(name)) as url:
        folder = Path(name)
        script = folder / "fake.json"
        script.write_text(json.dumps([{"delay_s": delay_s}]), encoding="utf-8")
        environment = prepare(folder, url) | {
            "DOCROUTE_LANES__OPTIONS__FAKE__SCRIPT": str(script),
            # documents wait without a message until the clock starts; workers must not miss them and send their own
            "DOCROUTE_SERVICE__STEPS__PUBLISH_GRACE_S": str(DEADLINE_S),
        }
        bench = Bench(load_settings(environment, folder))
        for turn in range(rounds):
            for processes in PROCESSES:
                warm_up, jobs = bench.prepare(WARM_UP * processes), bench.prepare(documents * processes)
                commands = [["-m", "workers.cli", "worker", "fast"]] * processes
                with running(commands, environment, folder / "workers.log"):
                    bench.await_workers(processes)
                    bench.rate(warm_up)
                    rates[processes].append(bench.rate(jobs))
                told = f"round {turn + 1}: {processes} processes, {rates[processes][-1]:.1f} documents a second"
                print(told, file=sys.stderr, flush=True)
    median = {processes: statistics.median(found) for processes, found in rates.items()}
    return {
        "cores": len(os.sched_getaffinity(0)),
        "delay_s": delay_s,
        "threads_per_process": THREADS,
        "documents_per_process": documents,
        "rounds": rounds,
        "documents_per_s": {str(processes): round(rate, 2) for processes, rate in median.items()},
        "times_one": {str(processes): round(rate / median[1], 2) for processes, rate in median.items()},
    }


def main() -> None:
    """Measure and print, and write where that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=160, help="for each process")
    parser.add_argument("--delay-s", type=float, default=0.5, help="how long the lane waits for each document")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--write", action="store_true", help=f"keep the figures in {OUTPUT}")
    options = parser.parse_args()
    report = measure(options.documents, options.delay_s, options.rounds)
    if options.write:
        OUTPUT.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    Console().print_json(data=report)


if __name__ == "__main__":
    main()
