"""Do the indexes of the store in Redis say what its jobs say? For tests that kill things."""

from collections.abc import Iterable
from typing import Any

from workers.jobs import FINAL, STAGES, STATES

Hashes = dict[str, dict[str, str]]


def index_problems(client: Any, prefix: str) -> list[str]:
    """Return every index that does not list just the jobs it should; the server must be at rest."""
    jobs = _jobs(client, prefix)
    found = {name: set(client.zrange(prefix + name, 0, -1)) for name in _expected(jobs)}
    problems = [
        f"{name}: missing {sorted(expected - found[name])[:5]}, wrong {sorted(found[name] - expected)[:5]}"
        for name, expected in _expected(jobs).items()
        if found[name] != expected
    ]
    return problems + list(_loose_problems(client, prefix, jobs))


def _jobs(client: Any, prefix: str) -> Hashes:
    start = f"{prefix}j:"
    return {key.removeprefix(start): client.hgetall(key) for key in client.scan_iter(f"{start}*", count=1000)}


def _expected(jobs: Hashes) -> dict[str, set[str]]:
    open_jobs = {job_id: job for job_id, job in jobs.items() if job["st"] not in FINAL}
    sure = {job_id for job_id, job in jobs.items() if "lc" in job}
    expected = {"a": set(jobs), "c": sure, "r": set(jobs) - set(open_jobs), "f": set(jobs) - set(open_jobs)}
    expected["l"] = {job_id for job_id, job in jobs.items() if "lu" in job}
    for state in STATES:
        expected[f"s:{state}"] = {job_id for job_id, job in jobs.items() if job["st"] == state}
    for state in ("done", "done_with_gaps", "needs_review"):
        expected[f"c:{state}"] = expected[f"s:{state}"] & sure
    for stage in STAGES:
        expected[f"g:{stage}"] = {job_id for job_id, job in open_jobs.items() if job["sg"] == stage}
        expected[f"w:{stage}"] = expected[f"g:{stage}"] - expected["l"]
    return expected


def _loose_problems(client: Any, prefix: str, jobs: Hashes) -> Iterable[str]:
    """What follows from more than a job's fields: messages, dead letters, webhooks, logs."""
    members = {name: set(client.zrange(prefix + name, 0, -1)) for name in ("u", "d", "x", "h", "hx")}
    lines = _lines(client, prefix)
    notified = {name.partition(".")[0] for name in members["hx"].union(*lines.values())}
    waiting = {job_id for job_id, job in jobs.items() if job["st"] not in FINAL and "lu" not in job}
    called = {job_id for job_id, job in jobs.items() if job["st"] in FINAL and "cb" in job}
    failed = {job_id for job_id, job in jobs.items() if job["st"] == "failed"}
    rules = {
        "messages of jobs that do not wait": (members["u"] | members["d"]) - waiting,
        "due and unpublished at once": members["u"] & members["d"],
        "dead letters of jobs that did not fail": members["x"] - failed,
        "dead letters without their text": members["x"] ^ set(client.hkeys(f"{prefix}xh")),
        "webhooks of jobs that have none": notified - called,
        "receivers of webhooks that nobody looks at": {place for place, names in lines.items() if names} - members["h"],
        "logs without a job": _logs(client, prefix) ^ set(jobs),
        "leases of ended jobs": {job_id for job_id, job in jobs.items() if job["st"] in FINAL and "lu" in job},
    }
    return [f"{rule}: {sorted(wrong)[:5]}" for rule, wrong in rules.items() if wrong]


def _lines(client: Any, prefix: str) -> dict[str, set[str]]:
    """Return the notifications that are due by receiver, each by its job's id and perhaps a number behind a point."""
    start = f"{prefix}h:"
    return {key.removeprefix(start): set(client.zrange(key, 0, -1)) for key in client.scan_iter(f"{start}*")}


def _logs(client: Any, prefix: str) -> set[str]:
    start = f"{prefix}e:"
    return {key.removeprefix(start) for key in client.scan_iter(f"{start}*", count=1000)}
