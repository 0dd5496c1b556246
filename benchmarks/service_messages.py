"""What malformed messages cost: no worker, no good job, and how much of the rate.

    python -m benchmarks.service_messages [--messages N] [--documents N] [--rounds N] [--seed N] [--write]

First part, the rate: batches of documents go through intake, fast and deep (the lanes are the `fake` backend), in turn
without and with one malformed message for every hundred good ones in each queue. The ratio of their rates is told for
each pair, because a machine's speed changes within minutes, and of these the median, and that of the times in all.
Second part, a fuzz: messages that are always malformed, submissions that must be refused, and good messages that were
changed at random, twenty at a time and then one good document, whose way through all stages is timed beside that of
documents with none before them. The workers are those of `docroute worker`, started again should one end.

Whatever is not as it should be is printed, and the exit status is 1: a worker that ended, a good document without a
result, a malformed message that was not put aside, anything that still lies in a queue. `--write` writes
benchmarks/results/service_messages.json.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import redis

from benchmarks.fault_world import SupervisedWorkers, supervised_workers
from benchmarks.malformed_messages import malformed, mutated, refused
from benchmarks.service_load import SCHEMA, prepare
from benchmarks.service_processes import running_server
from benchmarks.service_submit import pictures
from workers.app import make_app
from workers.blobs import make_blobs
from workers.jobs import STAGES, JobSpec
from workers.publish import publish
from workers.queue_depth import BrokerQueues
from workers.settings import Settings, load_settings
from workers.store import READABLE
from workers.store_redis import make_store

OUTPUT = Path("benchmarks/results/service_messages.json")
AT_ONCE = 20
EVERY = 100
POLL_S, DEADLINE_S = 0.01, 600.0
KINDS: dict[str, tuple[float, Callable[[random.Random, str], bytes]]] = {
    "malformed": (0.7, malformed),
    "refused": (0.1, lambda rng, queue: refused(rng)),
    "mutated": (0.2, mutated),
}
"""Of the fuzz, with their shares."""
Report = dict[str, Any]


class World:
    """The service under test, its good documents, and the way into its queues."""

    def __init__(self, settings: Settings, client: Any, documents: int, seed: int) -> None:
        self.rng = random.Random(seed)
        self.store = make_store(settings.service)
        self.sent: Counter[str] = Counter()
        self.good = 0
        self._app = make_app(settings)
        self._blobs = make_blobs(settings.service.blobs)
        self._queues = BrokerQueues(settings.service.broker)
        self._client, self._prefix = client, settings.service.broker.key_prefix
        self._pictures = pictures(documents)

    def submit(self) -> None:
        """Create the job of the next good document and publish it."""
        document_id = self._blobs.put_original(self._pictures[self.good])
        spec = JobSpec(document_id=document_id, uri="good.png", schema_name=SCHEMA.name)
        publish(self._app, self.store, self.store.create(f"good{self.good}", spec)[0])
        self.good += 1

    def send(self, kind: str, queue: str) -> None:
        """Put a message of a kind where those of good jobs are put."""
        make = KINDS[kind][1]
        self._client.lpush(f"{self._prefix}{queue}\x06\x163", make(self.rng, queue))
        self.sent[kind] += 1

    def fuzz(self) -> None:
        """Send one message of any kind into any queue; submissions into the one that they belong in."""
        (kind,) = self.rng.choices(list(KINDS), [share for share, _ in KINDS.values()])
        self.send(kind, "intake" if kind == "refused" else self.rng.choice(STAGES))

    def wait(self, ready: Callable[[], bool], what: str) -> float:
        """Return how many seconds it took."""
        started = time.perf_counter()
        while not ready():
            if time.perf_counter() - started > DEADLINE_S:
                raise TimeoutError(f"not within {DEADLINE_S:.0f} s: {what}")
            time.sleep(POLL_S)
        return time.perf_counter() - started

    def all_done(self) -> bool:
        """Return whether every good document has a result; others never have one."""
        return self.results() >= self.good

    def results(self) -> int:
        """Return how many documents have a result."""
        counts = self.store.counts()
        return sum(counts[state] for state in READABLE)

    def is_empty(self) -> bool:
        """Return whether nothing lies in a queue or is held by a worker."""
        depths = self._queues.depths().values()
        return not any(sum(depth.values()) for depth in depths) and not self._queues.unacked().count


def rate(world: World, documents: int, with_malformed: bool) -> float:
    """Return documents a second."""
    started = time.perf_counter()
    for number in range(documents):
        world.submit()
        if with_malformed and number % EVERY == 0:
            for queue in STAGES:
                world.send("malformed", queue)
    world.wait(world.all_done, "every document is done")
    return documents / (time.perf_counter() - started)


def rates(world: World, documents: int, rounds: int) -> Report:
    """Return the rates of both in turn, and the median of their ratios."""
    rate(world, documents // 2, False)  # the first documents find workers that still load
    pairs = []
    for turn in range(rounds):
        pair = {with_them: rate(world, documents, with_them) for with_them in (turn % 2 == 0, turn % 2 == 1)}
        pairs.append({"without": round(pair[False], 2), "with": round(pair[True], 2)})
    ratios = [pair["with"] / pair["without"] for pair in pairs]
    seconds = {name: sum(1 / pair[name] for pair in pairs) for name in ("without", "with")}
    totals = round(seconds["without"] / seconds["with"], 3)
    return {"documents_per_s": pairs, "ratio": round(statistics.median(ratios), 3), "ratio_of_totals": totals}


def fuzz(world: World, messages: int) -> Report:
    """Return how long a good document takes behind twenty messages of the fuzz, and alone."""
    behind: list[float] = []
    alone: list[float] = []
    for first in range(0, messages, AT_ONCE):
        for _ in range(min(AT_ONCE, messages - first)):
            world.fuzz()
        behind.append(_one(world))
        alone.append(_one(world))
    return {"document_ms": {"behind": _median_ms(behind), "alone": _median_ms(alone)}}


def _one(world: World) -> float:
    world.submit()
    return world.wait(world.all_done, "a good document is done")


def _median_ms(seconds: list[float]) -> float:
    return round(statistics.median(seconds) * 1000, 1) if seconds else 0.0


def outcome(world: World, workers: SupervisedWorkers) -> Report:
    """Return what became of all messages, and whatever is not as it should be, in words."""
    world.wait(world.is_empty, "the queues are empty")
    counts, put_aside = world.store.counts(), int(world.store.statistics()["put_aside"])
    problems = [f"the worker of {stage} ended with {code}" for stage, code in workers.exits]
    if put_aside < world.sent["malformed"]:
        problems.append(f"{world.sent['malformed']} were malformed, and {put_aside} put aside")
    if world.results() != world.good:
        problems.append(f"{world.results()} of {world.good} good documents have a result")
    return {
        "sent": dict(world.sent),
        "put_aside": put_aside,
        "states": {state: count for state, count in counts.items() if count},
        "workers_ended": len(workers.exits),
        "problems": problems,
    }


def measure(options: argparse.Namespace, folder: Path) -> Report:
    """Return what both parts led to."""
    batches = 2 * options.rounds * options.documents + options.documents
    documents = batches + 2 * (options.messages // AT_ONCE + 1)
    with running_server(folder) as url, closing(redis.Redis.from_url(url)) as client:
        environment = prepare(folder, url)
        world = World(load_settings(environment, folder), client, documents, options.seed)
        with supervised_workers(environment, folder / "workers.log") as workers:
            report: Report = {"rate": rates(world, options.documents, options.rounds)}
            report["fuzz"] = fuzz(world, options.messages)
            return report | outcome(world, workers)


def main() -> int:
    """Measure, print what came of it, and return 1 if anything is not as it should be."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=20_000, help="of the fuzz (20000)")
    parser.add_argument("--documents", type=int, default=200, help="of a batch of the rate (200)")
    parser.add_argument("--rounds", type=int, default=15, help="pairs of batches (15)")
    parser.add_argument("--seed", type=int, default=17, help="of the messages (17)")
    parser.add_argument("--write", action="store_true", help=f"write {OUTPUT}")
    parser.add_argument("--keep", type=Path, help="folder for logs, jobs and blobs, which stay there")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="service-messages-") as name:
        folder = options.keep or Path(name)
        folder.mkdir(parents=True, exist_ok=True)
        report = measure(options, folder.absolute())
    print(json.dumps(report, indent=2))
    if options.write:
        OUTPUT.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return 1 if report["problems"] else 0


if __name__ == "__main__":
    sys.exit(main())
