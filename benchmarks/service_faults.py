"""What the service loses when all around it fails again and again: nothing, or it says what.

    python -m benchmarks.service_faults [--kills N] [--documents N] [--malformed N] [--write]

First part: documents go through intake, fast and deep on a server with two replicas and three sentinels, while the
worker of each kind is killed in turn in the middle of its work (SIGKILL, its pool too), the master is killed and
started again with its append-only file, the master is killed for good so that a replica takes its place, and malformed
messages lie among the good ones. Second part: the network between workers and server is cut, and documents that kill
every worker that reads them lie among good ones. Lanes are the `fake` backend with a delay, one worker of each kind,
started again when it ends. After each part every acknowledged job must have ended, once, with one result that can be
read, and logs and indexes must say the same; whatever does not hold is printed, and the exit status is 1. `--write`
writes benchmarks/results/service_faults.json.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from benchmarks.failover_world import FailoverServers, failover_servers
from benchmarks.fault_service import DELAY_S, POISON, Report, World, environment
from benchmarks.fault_world import killable_server, supervised_workers
from benchmarks.service_submit import pictures
from benchmarks.tcp_proxy import TcpProxy
from workers.jobs import STAGES
from workers.settings import load_settings

OUTPUT = Path("benchmarks/results/service_faults.json")
SERVER_KILLS = 3
FAIL_OVERS = 2
CUT_DOCUMENTS = 200
GROUP = ("min-replicas-to-write 1", "min-replicas-max-lag 2")
"""As docker/README.md says: a master that has lost its replicas takes nothing, and so leaves nothing behind."""
SEED = 11
CRASH = 70


def kill_again_and_again(world: World, servers: FailoverServers, options: argparse.Namespace) -> Report:
    """Return what became of documents while workers, servers and messages fail in turn."""
    kills, documents = options.kills, options.documents
    rng, made, started = random.Random(SEED), pictures(documents), time.monotonic()
    task = world.show.add_task(f"{kills} kills", total=documents)
    restarts, fail_overs = spread(kills, SERVER_KILLS), spread(kills, FAIL_OVERS)
    killed: Counter[str] = Counter()
    for kill in range(kills):
        world.submit(made[world.submitted : documents * (kill + 1) // kills], "page.png")
        world.send_malformed(options.malformed * (kill + 1) // kills - world.put_aside, rng)
        stage = STAGES[kill % len(STAGES)]
        world.await_work(stage)
        time.sleep(rng.uniform(0.0, 2 * DELAY_S))
        world.workers.kill(stage)
        killed[stage] += 1
        if kill in restarts | fail_overs:
            servers.settle()  # one failure of a server at a time is what a group of this size promises to bear
        if kill in restarts:
            servers.end()
            servers.start()
            servers.settle()
            killed["server"] += 1
        if kill in fail_overs:
            servers.fail_over()
            servers.start()  # the old master comes back and is a replica
            killed["fail-over"] += 1
        world.show.update(task, completed=world.ended(), description=f"kill {kill + 1} of {kills}")
    last = time.monotonic()
    world.wait_until_ended(task)
    now = time.monotonic()
    timing = {"elapsed_s": round(now - started, 1), "from_last_kill_s": round(now - last, 1)}
    return {"kills": dict(killed), "malformed": world.put_aside} | timing | world.outcome()


def spread(kills: int, events: int) -> set[int]:
    """Return the numbers of the kills with which so many events happen, evenly among them."""
    return {kills * (part + 1) // (events + 1) for part in range(events)}


def cut_the_network(world: World, proxy: TcpProxy, cut_s: float) -> Report:
    """Return what became of documents when the workers could not reach the server for a while."""
    started, task = time.monotonic(), world.show.add_task("network cut", total=CUT_DOCUMENTS)
    world.submit(pictures(CUT_DOCUMENTS), "page.png")
    world.await_work("fast")
    proxy.cut()
    time.sleep(cut_s)
    proxy.heal()
    world.wait_until_ended(task)
    return {"cut_s": cut_s, "elapsed_s": round(time.monotonic() - started, 1)} | world.outcome()


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
    return {"elapsed_s": round(time.monotonic() - started, 1)} | world.outcome(before)


def measure_kills(options: argparse.Namespace, folder: Path, show: Progress) -> Report:
    """Return what the first part led to."""
    folder.mkdir()
    with failover_servers(folder, options=GROUP) as servers:
        settings = environment(folder, servers.url, replicas=1)
        with supervised_workers(settings, folder / "workers.log") as workers:
            world = World("job", load_settings(settings, folder), folder, workers, show)
            report = kill_again_and_again(world, servers, options)
            report["put_aside"] = int(world.store.statistics()["put_aside"])
            report["workers_ended_by_themselves"] = len(workers.exits)
    return report


def measure_one_server(options: argparse.Namespace, folder: Path, show: Progress) -> Report:
    """Return what the second part led to."""
    folder.mkdir()
    with killable_server(folder) as server:
        proxy = TcpProxy(server.port)
        direct = environment(folder, server.url)
        through = direct | {"DOCROUTE_SERVICE__BROKER__URL": f"redis://127.0.0.1:{proxy.port}/0"}
        with supervised_workers(through, folder / "workers.log") as workers:
            world = World("one", load_settings(direct, folder), folder, workers, show)
            cut = cut_the_network(world, proxy, options.cut_s)
            cut["workers_ended_by_themselves"] = len(workers.exits)
            poison = poison_among_good(world, options.good, options.poison)
            codes = [code for _, code in workers.exits]
            poison["workers_killed"] = codes.count(CRASH)
            poison["workers_ended_by_themselves"] = len(codes) - codes.count(CRASH) - cut["workers_ended_by_themselves"]
        proxy.stop()
    return {"cut": cut, "poison": poison}


def main() -> int:
    """Do the harm, print what became of it, and return 1 if something was lost or done twice."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50, help="of workers, each kind in turn (50)")
    parser.add_argument("--documents", type=int, default=2000, help="during the kills (2000)")
    parser.add_argument("--malformed", type=int, default=500, help="messages among those of the documents (500)")
    parser.add_argument("--cut-s", type=float, default=30.0, help="length of the network cut (30)")
    parser.add_argument("--good", type=int, default=500, help="documents among which the poison is (500)")
    parser.add_argument("--poison", type=int, default=5, help="documents that kill their workers (5)")
    parser.add_argument("--write", action="store_true", help=f"write {OUTPUT}")
    parser.add_argument("--keep", type=Path, help="folder for logs, jobs and blobs, which stay there")
    options = parser.parse_args()
    console = Console(stderr=True)
    with tempfile.TemporaryDirectory(prefix="service-faults-") as name, Progress(console=console) as show:
        folder = (options.keep or Path(name)).absolute()
        folder.mkdir(parents=True, exist_ok=True)
        report: Report = {"kills": measure_kills(options, folder / "kills", show)}
        report |= measure_one_server(options, folder / "one", show)
    Console().print_json(data=report)
    if options.write:
        OUTPUT.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return 0 if is_whole(report, options) else 1


def is_whole(report: Report, options: argparse.Namespace) -> bool:
    """Return whether nothing was lost or done twice, no worker ended by itself, and what was malformed was put aside.

    Nobody acknowledges a malformed message, so a few may go with a killed worker or a master.
    """
    kills = report["kills"]
    counted = kills["documents"] == options.documents and kills["put_aside"] >= 0.9 * options.malformed
    return counted and not any(part["problems"] or part["workers_ended_by_themselves"] for part in report.values())


if __name__ == "__main__":
    sys.exit(main())
