"""What the service costs beside bare Celery: documents a second through three stages, measured in the same run.

    python -m benchmarks.service_load [--documents N] [--rounds N] [--write]

Bare Celery runs three empty chained tasks for each document, with late acknowledgement and the settings, queues, pools
and concurrency of the service; each task publishes the next. The service takes every document through intake, fast and
deep with the `fake` backend (an audit share of 1 makes both lanes read each), with blobs, state, events and results.
The documents are tiny pictures with two fields, so that the service is measured and not the reading; what opening,
scoring, reading and merging takes alone is told beside it. In both cases everything, the publisher and the server
included, runs on the same cores, and time counts from the first message to the end of the last document. `ratio` is
that of the rates; `cpu_ratio` that of the CPU time a document takes in all processes, which other programs change less.
The two take turns, because a machine's speed changes within minutes; of the turns' ratios the median is told.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import redis
from celery import Celery, Task
from pydantic import JsonValue
from rich.console import Console

from backends import registry
from benchmarks.service_processes import cpu_seconds, running, running_server
from benchmarks.service_submit import paced, pictures, quantiles
from router.decisions import neutral_decisions
from router.documents import open_document
from router.schema import FieldSpec, Schema
from workers.app import configuration, make_app
from workers.blobs import make_blobs
from workers.jobs import FINAL, STAGES, Job, JobSpec
from workers.message import Sender
from workers.pipeline import Lanes, Readings, StepTimes, deep_step, fast_step, finish, intake, review_step
from workers.publish import publish
from workers.settings import Settings, load_settings
from workers.store_redis import make_store
from workers.worker_process import THREADS

OUTPUT = Path("benchmarks/results/service_load.json")
SCHEMA = Schema(
    name="note",
    fields=(FieldSpec(name="number", kind="identifier", required=True), FieldSpec(name="total", kind="amount")),
)
PROCESSES = 2
DEADLINE_S = 7200.0
PLAIN = {"broker_transport": "kombu.transport.redis:Transport", "worker_consumer": "celery.worker.consumer:Consumer"}
"""What the service does not leave as Celery has it."""
DONE_KEY = "bare:done"
SUBMITTERS = 4
PACED, PACED_SHARE = 300, 1 / 3
"""Documents that one submitter puts in afterwards, at this share of the rate: how long it takes where nothing waits."""
WAIT_S = 60.0
POLL_S = 0.05
PROGRESS_S = 10.0
Report = dict[str, Any]


# -- bare Celery
def bare_app(settings: Settings) -> Celery:
    """Return an application with three empty tasks, each publishing the next."""
    app = Celery("bare", set_as_current=False)
    app.conf.update(configuration(settings) | PLAIN)
    done = redis.Redis.from_url(settings.service.broker.url)

    def step(task: Task, job_id: str, left: list[str]) -> None:
        if left:
            app.send_task(f"bare.{left[0]}", args=(job_id, left[1:]), queue=left[0], priority=3)
        else:
            done.incr(DONE_KEY)

    for stage in STAGES:
        app.task(step, name=f"bare.{stage}", bind=True)
    return app


def serve_bare(stage: str) -> int:
    """Work on a queue as `docroute worker` does, with empty tasks."""
    pool, concurrency = ("prefork", PROCESSES) if stage == "intake" else ("threads", THREADS)
    worker = bare_app(load_settings()).Worker(
        queues=[stage], pool=pool, concurrency=concurrency, without_mingle=True, without_gossip=True, quiet=True
    )
    worker.start()
    return int(worker.exitcode or 0)


def bare_rate(settings: Settings, environment: dict[str, str], folder: Path, documents: int) -> Report:
    """Return how fast bare Celery is."""
    app, client = bare_app(settings), redis.Redis.from_url(settings.service.broker.url)
    commands = [["-m", "benchmarks.service_load", "--serve-bare", stage] for stage in STAGES]

    def send() -> list[float]:
        for number in range(documents):
            app.send_task("bare.intake", args=(str(number), list(STAGES[1:])), queue="intake", priority=3)
        return []

    client.set(DONE_KEY, 0)
    with running(commands, environment, folder / "bare.log") as pids:
        _await_workers(app)
        return _timed(app, send, lambda: int(client.get(DONE_KEY) or 0), documents, pids)


# -- the service
def service_rate(settings: Settings, environment: dict[str, str], folder: Path, documents: int) -> Report:
    """Return how fast the service is, and how long submitting one document took."""
    app, store = make_app(settings), make_store(settings.service)
    paced_count = min(PACED, documents)
    blobs, made = make_blobs(settings.service.blobs), pictures(documents + paced_count)
    commands = [["-m", "workers.cli", "worker", stage] for stage in STAGES]
    before = sum(store.counts()[state] for state in FINAL)

    def submit(number: int) -> float:
        started = time.perf_counter()
        _submit(app, store, blobs, f"load{before + number}", made[number])
        return (time.perf_counter() - started) * 1000

    def send() -> list[float]:
        with ThreadPoolExecutor(SUBMITTERS) as pool:  # one alone waits for the disk most of the time
            return list(pool.map(submit, range(documents)))

    def done() -> int:
        return sum(store.counts()[state] for state in FINAL) - before

    with running(commands, environment, folder / "service.log") as pids:
        _await_workers(app)
        report = _timed(app, send, done, documents, pids)
        pace = report["documents_per_s"] * PACED_SHARE
        report |= quantiles(paced(submit, range(documents, len(made)), pace), "paced_submit")
        _await(lambda: done() >= len(made))
    return report | {"states": {state: count for state, count in store.counts().items() if count}}


def _submit(app: Celery, store: Any, blobs: Any, job_id: str, data: bytes) -> None:
    spec = JobSpec(document_id=blobs.put_original(data), uri="load.png", schema_name=SCHEMA.name)
    job: Job = store.create(job_id, spec)[0]
    publish(app, store, job)


def work_ms(count: int = 100) -> float:
    """Return the CPU milliseconds that a document's three stages take without the service."""
    schema, decisions, lane = SCHEMA, neutral_decisions(), registry.create("fake")
    lanes = Lanes(lane, lane)
    made = pictures(count)
    started = time.process_time()
    for data in made:
        with open_document(data, "load.png") as opened:
            score, route = intake(opened.document, opened, lanes, decisions.policy)
        with open_document(data, "load.png") as opened:
            fast = fast_step(opened.document, opened, schema, lane)
            review_step(fast, schema, decisions, opened.document.pages)
        with open_document(data, "load.png") as opened:
            deep = deep_step(opened.document, opened, schema, lane)
            finish(opened.document, schema, score, route, Readings(fast=fast, deep=deep), decisions, StepTimes())
    return (time.process_time() - started) / count * 1000


def _await_workers(app: Celery) -> None:
    _await(lambda: len(app.control.ping(timeout=0.5)) >= len(STAGES))


def _await(ready: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not ready():
        if time.monotonic() > deadline:
            raise TimeoutError("the workers do not start or do not end their work")
        time.sleep(POLL_S)


def _timed(
    app: Celery, send: Callable[[], list[float]], done: Callable[[], int], documents: int, pids: list[int]
) -> Report:
    before, started = _cpu_s(app, pids), time.perf_counter()
    submit_ms = send()
    told_at = time.perf_counter()
    while (ended := done()) < documents:
        now = time.perf_counter()
        if now - started > DEADLINE_S:
            raise TimeoutError(f"{ended} of {documents} documents ended")
        if now - told_at > PROGRESS_S:
            told_at = now
            print(f"{ended} of {documents} documents in {now - started:.0f} s", file=sys.stderr, flush=True)
        time.sleep(POLL_S)
    elapsed_s = time.perf_counter() - started
    spent = {part: (after - before[part]) / documents * 1000 for part, after in _cpu_s(app, pids).items()}
    report: Report = {
        "documents_per_s": round(documents / elapsed_s, 2),
        "cpu_ms_per_document": {part: round(ms, 2) for part, ms in (spent | {"all": sum(spent.values())}).items()},
    }
    if submit_ms:
        report |= quantiles(submit_ms, "submit")
    return report


def _cpu_s(app: Celery, pids: list[int]) -> dict[str, float]:
    """Return the CPU seconds so far of each worker, of the server and of this process, which publishes."""
    with closing(redis.Redis.from_url(app.conf.broker_url)) as client:
        server = int(client.info("server")["process_id"])
    return {
        **{stage: cpu_seconds([pid]) for stage, pid in zip(STAGES, pids, strict=True)},
        "server": cpu_seconds([server]),
        "publisher": time.process_time(),
    }


def prepare(folder: Path, url: str) -> dict[str, str]:
    """Write the schema into a folder, and return the variables of a service whose fake lanes both read everything."""
    (folder / f"{SCHEMA.name}.json").write_text(SCHEMA.model_dump_json(), encoding="utf-8")
    return {
        "DOCROUTE_SERVICE__BROKER__URL": url,
        "DOCROUTE_SERVICE__BLOBS__URL": str(folder / "blobs"),
        "DOCROUTE_SERVICE__LOAD__AUDIT_SHARE": "1.0",
        "DOCROUTE_SERVICE__LOAD__DEEP_LIMIT": "10000000",
        "DOCROUTE_LANES__FAST": "fake",
        "DOCROUTE_LANES__DEEP": "fake",
        "DOCROUTE_PROCESSES": str(PROCESSES),
        "DOCROUTE_SERVICE__SCHEMAS": str(folder),
    }


def message_bytes(app: Celery, settings: Settings) -> int:
    """Return how long a message for the deep lane is as the server keeps it, with a long job id."""
    data: dict[str, JsonValue] = {"pages": 12, "fields": ["number", "total"]}
    spec = JobSpec(document_id="0" * 64, uri="load.png", schema_name=SCHEMA.name)
    job = Job(id="f" * 64, spec=spec, stage="deep", data=data)
    with closing(redis.Redis.from_url(app.conf.broker_url)) as client:
        Sender(app).send(job)
        kept: bytes = client.lpop(f"{settings.service.broker.key_prefix}deep\x06\x163")
    return len(kept)


def measure(documents: int, rounds: int) -> Report:
    """Return the rates of both, round by round in turn."""
    with tempfile.TemporaryDirectory(prefix="service-load-") as name, running_server(Path(name)) as url:
        folder = Path(name)
        environment = prepare(folder, url)
        settings = load_settings(environment, folder)
        message = message_bytes(make_app(settings), settings)
        found = [
            (
                bare_rate(settings, environment, folder, documents),
                service_rate(settings, environment, folder, documents),
            )
            for _ in range(rounds)
        ]
    ratio = statistics.median(ours["documents_per_s"] / bare["documents_per_s"] for bare, ours in found)
    cpu_ratio = statistics.median(_cpu_ms(bare) / _cpu_ms(ours) for bare, ours in found)
    return {
        "documents": documents,
        "cores": len(os.sched_getaffinity(0)),
        "ratio": round(ratio, 3),
        "cpu_ratio": round(cpu_ratio, 3),
        "message_bytes": message,
        "document_work_cpu_ms": round(work_ms(), 2),
        "rounds": [{"bare": bare, "service": ours} for bare, ours in found],
    }


def _cpu_ms(report: Report) -> float:
    return float(report["cpu_ms_per_document"]["all"])


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=5_000, help="of each, in every turn")
    parser.add_argument("--rounds", type=int, default=4, help="turns that the two take")
    parser.add_argument("--write", action="store_true", help=f"keep the figures in {OUTPUT}")
    parser.add_argument("--serve-bare", choices=STAGES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve_bare:
        sys.exit(serve_bare(options.serve_bare))
    report = measure(options.documents, options.rounds)
    if options.write:
        OUTPUT.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    Console().print_json(data=report)


if __name__ == "__main__":
    main()
