"""What a waiting job costs, in memory of the server and in time of every call.

    python -m benchmarks.store_size [--jobs 100000] [--few 1000] [--rounds 200]

starts a Valkey of its own, fills one key prefix with a few waiting jobs and another with many, prints a table and
writes benchmarks/results/store_size.json. A waiting job is the store's record, its log and indexes, and a true Celery
message in the queue. The jobs are written through a pipeline by the very script that `submit` runs; the message is one
that Celery made, with the id of each job put in. Calls are timed in turn on the few and on the many (A B A B ...) and
medians are compared: believe the ratios, not the milliseconds.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import redis
from rich.console import Console
from rich.table import Table

from benchmarks.service_processes import running_server
from workers.app import make_app
from workers.broker import script_text
from workers.jobs import Job, JobSpec, job_id
from workers.publish import publish
from workers.redis_webhooks import callback_arg
from workers.request import metadata_json, request_of, sender_of
from workers.service_settings import BrokerSettings, ServiceSettings
from workers.settings import Settings
from workers.store_codec import spec_json
from workers.store_redis import make_store

OUTPUT = Path("benchmarks/results/store_size.json")
TARGET_BYTES = 4096
TARGET_RATIO = 1.5
_BATCH = 500
Report = dict[str, Any]


def spec(number: int) -> JobSpec:
    """Return what an upstream system might ask for."""
    return JobSpec(
        document_id=f"{number:064x}",
        uri=f"s3://incoming-documents/2026/11/24/scan-{number:09d}.pdf",
        schema_name="invoice",
        callback_url="https://erp.example.com/api/v1/documents/finished",
        metadata={"customer": f"C-{number % 5000:06d}", "batch": "2026-11-24T08:00Z", "reference": f"PO-{number:08d}"},
    )


class Side:
    """One key prefix with a number of waiting jobs."""

    def __init__(self, url: str, prefix: str) -> None:
        broker = BrokerSettings(url=url, key_prefix=prefix)
        settings = Settings(service=ServiceSettings(broker=broker))
        self.prefix = prefix
        self.store = make_store(settings.service)
        self.app = make_app(settings)
        self.client = redis.Redis.from_url(url)
        self.jobs = 0

    def submit(self) -> Job:
        """Create the next job and send its message, as a client does."""
        job, _ = self.create()
        publish(self.app, self.store, job)
        return job

    def create(self) -> tuple[Job, bool]:
        """Create the next job."""
        self.jobs += 1
        asked = spec(self.jobs)
        return self.store.create(job_id(asked), asked)

    def fill(self, jobs: int) -> None:
        """Let `jobs` jobs wait."""
        first = self.submit()
        key, message = self._message()
        create, published = (self.client.script_load(script_text(name)) for name in ("create", "published"))
        while self.jobs < jobs:
            pipe = self.client.pipeline(transaction=False)
            for _ in range(min(_BATCH, jobs - self.jobs)):
                self.jobs += 1
                asked = spec(self.jobs)
                known = job_id(asked)
                made_of = uuid.uuid4().hex[:8], spec_json(asked), callback_arg(asked.callback_url)
                digests = request_of(asked).digest, "", sender_of(asked), metadata_json(asked)
                pipe.evalsha(create, 0, self.prefix, known, *made_of, *digests, asked.document_id)
                pipe.evalsha(published, 0, self.prefix, known, "intake")
                pipe.lpush(key, message.replace(first.id.encode(), known.encode()))
            pipe.execute()

    def _message(self) -> tuple[bytes, bytes]:
        for key in self.client.scan_iter(f"{self.prefix}intake*"):
            if self.client.type(key) == b"list":
                return key, self.client.lindex(key, 0)
        raise RuntimeError("Celery sent no message")


def measure_memory(url: str, many: Side, jobs: int) -> Report:
    """Fill the big side and return the server's memory for each of its jobs, in bytes."""
    client = redis.Redis.from_url(url)
    many.submit()
    before = client.info("memory")["used_memory"]
    many.fill(jobs)
    # Buffers of the pipeline are no part of a waiting job.
    many.client.close()
    total = client.info("memory")["used_memory"] - before
    key, message = many._message()
    known = job_id(spec(jobs))
    record = client.memory_usage(f"{many.prefix}j:{known}") + client.memory_usage(f"{many.prefix}e:{known}")
    queue = client.memory_usage(key, samples=100) / client.llen(key)
    return {
        "bytes_per_job": round(total / jobs),
        "record_and_log_bytes": record,
        "message_bytes": len(message),
        "queue_bytes_per_message": round(queue),
        "index_bytes_per_job": round(total / jobs - record - queue),
    }


def calls(side: Side) -> dict[str, Callable[[], object]]:
    """Return what is timed."""
    store, middle = side.store, job_id(spec(side.jobs // 2))
    return {
        "status": lambda: store.get(middle),
        "list newest": lambda: store.jobs(),
        "list a state, from the middle": lambda: store.jobs(state="received", order="oldest", offset=side.jobs // 2),
        "list a stage, oldest first": lambda: store.jobs(stage="intake", order="oldest"),
        "counts": store.counts,
        "waiting since": lambda: store.waiting_since("intake"),
        "what is due": lambda: store.due(100, 3600.0),
        "create": side.create,
        "submit (create, message, note)": side.submit,
    }


def measure_times(few: Side, many: Side, rounds: int) -> Report:
    """Return for every call the median on few and on many jobs and the 99th percentile on many, in ms."""
    found: Report = {}
    on_few, on_many = calls(few), calls(many)
    for name in on_few:
        times: tuple[list[float], list[float]] = ([], [])
        for _ in range(rounds):
            for taken, call in zip(times, (on_few[name], on_many[name]), strict=True):
                started = time.perf_counter()
                call()
                taken.append(1000 * (time.perf_counter() - started))
        medians = [statistics.median(taken[rounds // 10 :]) for taken in times]
        found[name] = {
            "few_ms": round(medians[0], 3),
            "many_ms": round(medians[1], 3),
            "many_p99_ms": round(statistics.quantiles(times[1], n=100)[98], 3),
            "ratio": round(medians[1] / medians[0], 2),
        }
    return found


def table_of(report: Report) -> Table:
    """Return the times as a table."""
    table = Table(title=f"{report['few']} and {report['many']} waiting jobs")
    for column in ("call", "few, ms", "many, ms", "p99, ms", "ratio"):
        table.add_column(column, justify="left" if column == "call" else "right")
    for name, row in report["calls"].items():
        table.add_row(name, *(str(row[key]) for key in ("few_ms", "many_ms", "many_p99_ms", "ratio")))
    return table


def measure(few_jobs: int, many_jobs: int, rounds: int) -> Report:
    """Return the whole report."""
    with tempfile.TemporaryDirectory() as folder, running_server(Path(folder)) as url:
        few, many = Side(url, "few:"), Side(url, "many:")
        few.fill(few_jobs)
        memory = measure_memory(url, many, many_jobs)
        timed = measure_times(few, many, rounds)
        for side in (few, many):
            side.store.close()
            side.app.close()
            side.client.close()
    return {"few": few_jobs, "many": many_jobs, "rounds": rounds, "memory": memory, "calls": timed}


def main(arguments: Sequence[str] | None = None) -> int:
    """Return 0 when both targets are met, else 1."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=100_000)
    parser.add_argument("--few", type=int, default=1_000)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--output", type=Path, default=OUTPUT)
    options = parser.parse_args(arguments)
    report = measure(options.few, options.jobs, options.rounds)
    worst = max(row["ratio"] for row in report["calls"].values())
    report["targets"] = {
        "bytes_per_job": TARGET_BYTES,
        "ratio": TARGET_RATIO,
        "met": report["memory"]["bytes_per_job"] <= TARGET_BYTES and worst <= TARGET_RATIO,
    }
    console = Console()
    console.print(table_of(report))
    console.print(f"a waiting job takes {report['memory']['bytes_per_job']} bytes: {report['memory']}")
    options.output.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return 0 if report["targets"]["met"] else 1


if __name__ == "__main__":
    raise SystemExit(main())
