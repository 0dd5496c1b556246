"""What the service loses when its workers, its server and its network fail again and again: nothing, or it says what.

    python -m benchmarks.service_faults [--kills N] [--documents N] [--cut-s S] [--good N] [--poison N] [--write]

First part: documents go through intake, fast and deep while the worker of each kind is killed in turn in the middle of
its work (SIGKILL, its pool too), the server is killed and started again with its append-only file, and once the network
between the workers and the server is cut. Second part: documents that kill every worker that reads them, among good
ones. Lanes are the `fake` backend with a delay, one worker of each kind, started again when it ends. After each part
every job must have ended, once, with one result that can be read, and logs and indexes must say the same; whatever does
not hold is printed, and the exit status is 1. `--write` writes benchmarks/results/service_faults.json.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress, TaskID

from benchmarks.fault_world import KillableServer, SupervisedWorkers, killable_server, supervised_workers
from benchmarks.service_invariants import Place, all_jobs, service_problems
from benchmarks.service_load import SCHEMA
from benchmarks.service_submit import pictures
from benchmarks.tcp_proxy import TcpProxy
from workers.app import make_publish
from workers.blobs import make_blobs
from workers.broker import connect
from workers.jobs import FINAL, STAGES, JobSpec, Stage
from workers.settings import Settings, load_settings
from workers.store_redis import make_store

OUTPUT = Path("benchmarks/results/service_faults.json")
DELAY_S = 0.2
LEASE_S = 5.0
DEADLINE_S = 600.0
SERVER_KILLS = 3
SEED = 11
POISON = "poison.png"
CRASH = 70
SCRIPT = [
    {"fields": {"number": "A-1", "total": "12.30"}, "delay_s": DELAY_S},
    {"tier": "fast", "fields": {"number": "NOT_FOUND"}},
    {"document": POISON, "error": "crash"},
]
"""Every document is read by both lanes: the fast one never finds a required field."""
Report = dict[str, Any]


@dataclass
class World:
    """The service under test, the means to harm it, and where its documents come from."""

    settings: Settings
    folder: Path
    server: KillableServer
    proxy: TcpProxy
    workers: SupervisedWorkers
    show: Progress

    def __post_init__(self) -> None:
        self.store = make_store(self.settings.service)
        self._blobs = make_blobs(self.settings.service.blobs)
        self._publish = make_publish(self.settings, self.store)
        self.submitted = 0

    def submit(self, documents: list[bytes], name: str) -> None:
        """Create jobs and publish them."""
        for data in documents:
            spec = JobSpec(document_id=self._blobs.put_original(data), uri=name, schema_name=SCHEMA.name)
            self._publish(self.store.create(f"job{self.submitted}", spec)[0])
            self.submitted += 1

    def ended(self) -> int:
        """Return how many jobs have ended."""
        counts = self.store.counts()
        return sum(counts[state] for state in FINAL)

    def wait_until_ended(self, task: TaskID) -> bool:
        """Return whether every job ended in time."""
        deadline = time.monotonic() + DEADLINE_S
        while (ended := self.ended()) < self.submitted and time.monotonic() < deadline:
            self.show.update(task, completed=ended)
            time.sleep(0.2)
        return ended >= self.submitted

    def at_work(self, stage: Stage) -> bool:
        """Return whether the worker of this kind, and not one that was killed, has begun a job."""
        jobs, name = self.store.jobs(stage=stage, order="oldest", limit=100), self.workers.name(stage)
        return any(job.lease and job.lease.worker.startswith(name) for job in jobs)

    def problems(self) -> list[str]:
        """Return what does not hold of the jobs, in words."""
        broker = self.settings.service.broker
        with connect(broker) as client:
            place = Place(self.store, client, broker.key_prefix, self._blobs, self.folder / "blobs")
            return service_problems(place, self.submitted, self.settings.service.steps.max_attempts)


def kill_again_and_again(world: World, kills: int, documents: int, cut_s: float) -> Report:
    """Return what became of documents while everything fails in turn."""
    rng, made, started = random.Random(SEED), pictures(documents), time.monotonic()
    task = world.show.add_task(f"{kills} kills", total=documents)
    server_kills = {kills * (part + 1) // (SERVER_KILLS + 1) for part in range(SERVER_KILLS)}
    killed: Counter[str] = Counter()
    for kill in range(kills):
        share = documents * (kill + 1) // kills
        world.submit(made[world.submitted : share], "page.png")
        stage = STAGES[kill % len(STAGES)]
        _await_work(world, stage)
        time.sleep(rng.uniform(0.0, 2 * DELAY_S))
        world.workers.kill(stage)
        killed[stage] += 1
        if kill in server_kills:
            world.server.end()
            time.sleep(rng.uniform(0.0, 2.0))
            world.server.start()
            killed["server"] += 1
        if kill == kills // 2:
            world.proxy.cut()
            time.sleep(cut_s)
            world.proxy.heal()
        world.show.update(task, completed=world.ended(), description=f"kill {kill + 1} of {kills}")
    last = time.monotonic()
    world.wait_until_ended(task)
    now = time.monotonic()
    timing = {"elapsed_s": round(now - started, 1), "from_last_kill_s": round(now - last, 1)}
    return {"kills": dict(killed), "cut_s": cut_s} | timing | outcome(world, 0)


def poison_among_good(world: World, good: int, poison: int) -> Report:
    """Return what became of documents that kill their workers, and of those beside them."""
    before, started = world.submitted, time.monotonic()
    task = world.show.add_task("poison", total=before + good + poison)
    made = pictures(before + good + poison)[before:]
    every = max(1, good // max(1, poison))
    poisonous = made[good:]
    for first in range(0, good, every):
        world.submit(made[first : min(first + every, good)], "page.png")
        world.submit(poisonous[:1], POISON)
        poisonous = poisonous[1:]
    world.submit(poisonous, POISON)
    world.wait_until_ended(task)
    return {"elapsed_s": round(time.monotonic() - started, 1)} | outcome(world, before)


def outcome(world: World, before: int) -> Report:
    """Return the ends of the jobs from number `before` on, and whatever does not hold of any."""
    world.show.console.print("checking every job ...", style="dim")
    jobs = [job for job in all_jobs(world.store) if int(job.id.removeprefix("job")) >= before]
    events = Counter(event.kind for job in jobs for event in world.store.events(job.id))
    return {
        "documents": len(jobs),
        "states": dict(Counter(job.state for job in jobs)),
        "dead": sorted(Counter(job.spec.uri for job in jobs if job.state == "failed").items()),
        "attempts_begun": events["started"],
        "attempts_cut_off": events["expired"],
        "late_results_refused": events["late"],
        "messages_lost": events["requeued"],
        "results": sum(job.result_blob is not None for job in jobs),
        "problems": world.problems(),
    }


def measure(options: argparse.Namespace, folder: Path, show: Progress) -> Report:
    """Return what both parts led to."""
    with killable_server(folder) as server:
        proxy = TcpProxy(server.port)
        direct = _environment(folder, server.url)
        through = direct | {"DOCROUTE_SERVICE__BROKER__URL": f"redis://127.0.0.1:{proxy.port}/0"}
        with supervised_workers(through, folder / "workers.log") as workers:
            world = World(load_settings(direct, folder), folder, server, proxy, workers, show)
            report: Report = {"kills": kill_again_and_again(world, options.kills, options.documents, options.cut_s)}
            ended_by_themselves = len(workers.exits)
            report["poison"] = poison_among_good(world, options.good, options.poison)
            crashes = [code for _, code in workers.exits[ended_by_themselves:]]
            report["poison"]["workers_killed"] = crashes.count(CRASH)
            unforeseen = ended_by_themselves + len(crashes) - crashes.count(CRASH)
        proxy.stop()
    return report | {"workers_ended_by_themselves": unforeseen}


def _await_work(world: World, stage: Stage) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not world.at_work(stage) and time.monotonic() < deadline:
        time.sleep(0.01)


def _environment(folder: Path, url: str) -> dict[str, str]:
    (folder / f"{SCHEMA.name}.json").write_text(SCHEMA.model_dump_json(), encoding="utf-8")
    (folder / "script.json").write_text(json.dumps(SCRIPT), encoding="utf-8")
    (folder / "policy.json").write_text('{"version": "faults", "threshold": 0.99, "budget": 1.0}', encoding="utf-8")
    return {
        "DOCROUTE_SERVICE__BROKER__URL": url,
        "DOCROUTE_SERVICE__BLOBS__URL": str(folder / "blobs"),
        "DOCROUTE_SERVICE__SCHEMAS": str(folder),
        "DOCROUTE_SERVICE__LOAD__AUDIT_SHARE": "0.0",
        "DOCROUTE_SERVICE__LOAD__DEEP_LIMIT": "1000000",
        "DOCROUTE_SERVICE__STEPS__LEASE_S": str(LEASE_S),
        "DOCROUTE_LANES__FAST": "fake",
        "DOCROUTE_LANES__DEEP": "fake",
        "DOCROUTE_LANES__OPTIONS__FAKE__SCRIPT": str(folder / "script.json"),
        "DOCROUTE_POLICY__FILE": str(folder / "policy.json"),
        "DOCROUTE_PROCESSES": "1",
    }


def main() -> int:
    """Do the harm, print what became of it, and return 1 if something was lost or done twice."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50, help="of workers, each kind in turn (50)")
    parser.add_argument("--documents", type=int, default=2000, help="during the kills (2000)")
    parser.add_argument("--cut-s", type=float, default=30.0, help="length of the network cut (30)")
    parser.add_argument("--good", type=int, default=500, help="documents among which the poison is (500)")
    parser.add_argument("--poison", type=int, default=5, help="documents that kill their workers (5)")
    parser.add_argument("--write", action="store_true", help=f"write {OUTPUT}")
    parser.add_argument("--keep", type=Path, help="folder for logs, jobs and blobs, which stay there")
    options = parser.parse_args()
    console = Console(stderr=True)
    with tempfile.TemporaryDirectory(prefix="service-faults-") as name, Progress(console=console) as show:
        folder = options.keep or Path(name)
        folder.mkdir(parents=True, exist_ok=True)
        report = measure(options, folder.absolute(), show)
    Console().print_json(data=report)
    if options.write:
        OUTPUT.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    whole = report["kills"]["documents"] == options.documents and not report["workers_ended_by_themselves"]
    return 0 if whole and not any(report[part]["problems"] for part in ("kills", "poison")) else 1


if __name__ == "__main__":
    sys.exit(main())
