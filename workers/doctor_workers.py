"""Checks of the workers that say they are there: every stage served, answering, ready, and of one mind."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from kombu.exceptions import OperationalError

from workers.app import make_app
from workers.checks import Check, fail, ok, warn
from workers.jobs import STAGES, Stage
from workers.presence import WorkerRecord, shared_settings, versions
from workers.settings import Settings

PING_S = 1.5
MOST_SKEW_S = 2.0
_MUST_AGREE = "broker.visibility_timeout_s"
_HOW_TO_AGREE = "give all processes the same docroute.toml, and restart those that differ"


def check_stages(workers: Sequence[WorkerRecord], waiting: Mapping[Stage, int], place: str) -> Iterator[Check]:
    """Yield for each stage who serves it, and every worker that is silent or not ready; `place` is where was looked."""
    for stage in STAGES:
        serving = [worker for worker in workers if worker.stage == stage and not worker.is_silent]
        name = f"{stage} workers"
        if serving:
            slots = sum(worker.concurrency for worker in serving)
            backends = ", ".join(sorted({_reader(worker) for worker in serving if worker.backend}))
            yield ok(name, f"{len(serving)}, {slots} documents at once{f', {backends}' if backends else ''}")
            models = sorted({worker.model for worker in serving if worker.model})
            if len(models) > 1:
                told = f"they read with different models: {'; '.join(models)}"
                yield warn(f"{stage} model", told, "give all of them the same checkpoint and precision")
        elif stage == "deep" and not waiting[stage]:
            yield warn(name, f"none under {place}", "without one doubtful fields wait; docroute worker deep")
        else:
            told = f"none under {place}, and {waiting[stage]} jobs wait"
            yield fail(name, told, f"docroute up, or docroute worker {stage}")
    for worker in workers:
        if worker.is_silent:
            told = f"has not spoken for {worker.age_s:.0f} s"
            yield warn(worker.name, told, "it hangs, was killed, or its host is cut off; its jobs go to others")
        elif worker.problem:
            yield warn(
                worker.name,
                f"is not ready: {worker.problem}",
                "give it time to load; one that stands still starts again by itself; else see its log",
            )
        skew_s = worker.clock - worker.at
        if worker.at and abs(skew_s) > MOST_SKEW_S:
            yield warn(worker.name, f"its clock is {skew_s:+.1f} s off the server's", "set the clock by NTP")


def check_answers(settings: Settings, workers: Sequence[WorkerRecord]) -> Iterator[Check]:
    """Yield whether the workers answer Celery's remote control."""
    expected = {f"{worker.stage}-{worker.pid}@{worker.host}" for worker in workers if not worker.is_silent}
    if not expected:
        return
    app = make_app(settings)
    try:
        # with names it returns when all have answered
        replies = app.control.ping(destination=sorted(expected), timeout=PING_S)
    except (OperationalError, OSError) as exc:
        yield warn("celery", f"the workers cannot be asked: {exc}", "look at the broker")
        return
    finally:
        app.close()
    missing = sorted(expected - {node for reply in replies for node in reply})
    if missing:
        told = f"no answer from {', '.join(missing)}"
        yield warn("celery", told, "a worker that starts or stops is silent for a while; else restart it")
    else:
        yield ok("celery", f"{len(expected)} workers answer")


def check_agreement(settings: Settings, workers: Sequence[WorkerRecord]) -> Iterator[Check]:
    """Yield settings and versions in which workers differ from each other or from this process."""
    names = ["this process", *(worker.name for worker in workers)]
    values = [shared_settings(settings), *(worker.settings for worker in workers)]
    differing = _differences(names, values)
    for key, told in differing.items():
        if key == _MUST_AGREE:
            yield fail(key, f"{told}; the shortest wins, and running work is done twice", _HOW_TO_AGREE)
        else:
            yield warn(key, told, _HOW_TO_AGREE)
    hosts = {worker.host for worker in workers}
    if len(hosts) > 1 and "://" not in values[0]["blobs.url"]:
        told = f"{values[0]['blobs.url']} is a folder, and there are workers on {len(hosts)} hosts"
        yield warn("blobs.url", told, "mount the same volume on all of them, or use s3:// or the like")
    if not differing:
        yield ok("settings", "the same in all processes")
    different = _differences(names, [versions(), *(worker.versions for worker in workers)])
    for package, told in different.items():
        yield warn(f"{package} version", told, "install the same versions everywhere")
    if not different:
        yield ok("versions", ", ".join(f"{name} {number}" for name, number in versions().items()))


def _differences(names: Sequence[str], values: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """Return who has which value, for the keys of which not all have the same; a key that one lacks is passed over."""
    found: dict[str, str] = {}
    for key in values[0]:
        holders: dict[str, list[str]] = defaultdict(list)
        for name, own in zip(names, values, strict=True):
            if key in own:
                holders[own[key]].append(name)
        if len(holders) > 1:
            found[key] = "; ".join(f"{value} in {_some(who)}" for value, who in holders.items())
    return found


def _reader(worker: WorkerRecord) -> str:
    return f"{worker.backend} ({worker.model})" if worker.model else worker.backend


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
