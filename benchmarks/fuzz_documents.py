"""Strange documents for a given time: each is read or refused clearly, and no process goes beyond its bounds.

    python -m benchmarks.fuzz_documents --minutes 15 --processes 16 --out out/fuzz

Needs nothing but `router.documents`. Each process reads one document after the other as a caller would, all pages and
pictures; it is watched from outside, since what is sought may end it. A finding is anything but pages or a
`DocumentError` in one line: another exception, the end of the caller, too much time, too much memory, too many open
files. Its input is kept in OUT/findings and named by its seed; the exit status is then 1. OUT/fuzz.json tells the next
seed, for `--first-seed`.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from benchmarks.fuzz_cases import Case, corpus, make_case
from benchmarks.fuzz_reader import CASE_TIMEOUT_S, read_cases

_MB = 1_000_000


@dataclass
class Watched:
    """A process that reads, and the case that it is at."""

    process: multiprocessing.process.BaseProcess
    answers: Connection
    first_seed: int
    generous: bool
    seed: int
    since: float = field(default_factory=time.monotonic)


@dataclass
class Tally:
    """What became of the cases."""

    outcomes: Counter[str] = field(default_factory=Counter)
    peak_bytes: dict[str, int] = field(default_factory=dict)
    findings: list[dict[str, Any]] = field(default_factory=list)
    slowest_s: float = 0.0
    last_seed: int = -1

    def add(self, answer: dict[str, Any]) -> None:
        """Count one case."""
        self.outcomes[answer["outcome"]] += 1
        self.slowest_s = max(self.slowest_s, answer["seconds"])
        self.last_seed = max(self.last_seed, answer["seed"])
        for name, peak in answer["peak_bytes"].items():
            self.peak_bytes[name] = max(self.peak_bytes.get(name, 0), peak)


class Fuzz:
    """All processes; seeds are dealt out in turn, so that each knows its next one without asking."""

    def __init__(self, first_seed: int, processes: int, folder: Path) -> None:
        self._context = multiprocessing.get_context("spawn")
        self._step = processes
        self._folder = folder
        self._corpus = corpus()
        self.tally = Tally(last_seed=first_seed - 1)
        self._watched = [self._start(first_seed + index, index % 4 == 3) for index in range(processes)]

    def run(self, until: float) -> None:
        """Watch until a moment of the monotonic clock, then end all."""
        while time.monotonic() < until:
            ready = wait([one.answers for one in self._watched], timeout=1.0)
            for index, one in enumerate(self._watched):
                if one.answers in ready:
                    self._watched[index] = self._listen(one)
                elif time.monotonic() - one.since > CASE_TIMEOUT_S:
                    self._watched[index] = self._replace(one, f"took longer than {CASE_TIMEOUT_S} s")
        for one in self._watched:
            one.process.kill()
            one.process.join()

    def _start(self, seed: int, generous: bool) -> Watched:
        ours, theirs = self._context.Pipe(duplex=False)
        process = self._context.Process(target=read_cases, args=(theirs, seed, self._step, generous), daemon=True)
        process.start()
        theirs.close()
        return Watched(process, ours, seed, generous, seed)

    def _listen(self, one: Watched) -> Watched:
        try:
            answer = one.answers.recv()
        except EOFError:
            one.process.join(10)
            return self._replace(one, f"the caller ended with status {one.process.exitcode}")
        self.tally.add(answer)
        if answer["finding"]:
            self._keep(answer["seed"], answer["finding"])
        one.seed, one.since = answer["seed"] + self._step, time.monotonic()
        return one

    def _replace(self, one: Watched, why: str) -> Watched:
        self._keep(one.seed, why)
        one.process.kill()
        one.process.join()
        self.tally.outcomes["lost"] += 1
        return self._start(one.seed + self._step, one.generous)

    def _keep(self, seed: int, why: str) -> None:
        case: Case = make_case(seed, self._corpus)
        folder = self._folder / "findings"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{seed}-{case.name}").write_bytes(case.data)
        self.tally.findings.append({"seed": seed, "name": case.name, "bytes": len(case.data), "finding": why})
        print(f"seed {seed} {case.name}: {why}", file=sys.stderr, flush=True)


def report(tally: Tally, first_seed: int, minutes: float, processes: int) -> dict[str, Any]:
    """Return what is written to OUT/fuzz.json."""
    return {
        "first_seed": first_seed,
        "next_seed": tally.last_seed + 1,
        "minutes": minutes,
        "processes": processes,
        "cases": sum(tally.outcomes.values()),
        "outcomes": dict(tally.outcomes.most_common()),
        "slowest_s": round(tally.slowest_s, 1),
        "peak_mb": {name: round(peak / _MB) for name, peak in sorted(tally.peak_bytes.items())},
        "findings": tally.findings,
    }


def main() -> None:
    """Run, write and print the outcome; exit with 1 on any finding."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--seed", type=int, help="make this one document in OUT and read it here")
    parser.add_argument("--out", type=Path, default=Path("out/fuzz"))
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    if asked.seed is not None:
        from benchmarks.fuzz_reader import read_one

        case = make_case(asked.seed, corpus())
        (asked.out / f"{case.seed}-{case.name}").write_bytes(case.data)
        print(json.dumps(read_one(case, generous=True), indent=2))
        return
    fuzz = Fuzz(asked.first_seed, asked.processes, asked.out)
    fuzz.run(time.monotonic() + 60 * asked.minutes)
    told = json.dumps(report(fuzz.tally, asked.first_seed, asked.minutes, asked.processes), indent=2)
    (asked.out / "fuzz.json").write_text(told + "\n", encoding="utf-8")
    print(told)
    sys.exit(1 if fuzz.tally.findings else 0)


if __name__ == "__main__":
    main()
