"""Jobs and events as Redis has them, and back. Knows the names of fields, no server."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence

from pydantic import JsonValue

from workers.jobs import Event, Job, JobSpec, Lease

MAX_TEXT_CHARS = 500
MAX_TRACEBACK_CHARS = 8000
_DATA = "d:"
_COMPACT = json.JSONEncoder(separators=(",", ":"))


def one_line(text: str) -> str:
    """Return a text as one line of at most 500 characters that any store can keep."""
    return _storable(" ".join(text.split()))[:MAX_TEXT_CHARS]


def last_lines(traceback: str) -> str:
    """Return the end of a traceback, at most 8,000 characters."""
    return _storable(traceback)[-MAX_TRACEBACK_CHARS:]


def _storable(text: str) -> str:
    # File names may hold lone surrogates, which no encoding takes.
    return text.encode("utf-8", "replace").decode()


def spec_json(spec: JobSpec) -> str:
    """Return a spec in the least space: what has its default is left out."""
    return spec.model_dump_json(exclude_defaults=True)


def data_args(data: Mapping[str, JsonValue]) -> list[str]:
    """Return name, value, name, value, ... with the values as JSON."""
    return [part for name, value in data.items() for part in (name, _COMPACT.encode(value))]


def fields_of(text: str) -> dict[str, str]:
    """Return the hash that a script wrote as a JSON list of names and values; empty is one that is not there."""
    flat = json.loads(text) if text else []
    return dict(zip(flat[::2], flat[1::2], strict=True))


def job_of(job_id: str, fields: Mapping[str, str]) -> Job | None:
    """Return the job of a hash, None for an empty one."""
    if "sp" not in fields:
        return None
    created = float(fields["ca"])
    return Job.model_validate(
        {
            "id": job_id,
            "spec": JobSpec.model_validate_json(fields["sp"]),
            "state": fields["st"],
            "stage": fields["sg"],
            "attempts": int(fields.get("at", 0)),
            "lease": _lease(fields),
            "data": {k.removeprefix(_DATA): json.loads(v) for k, v in fields.items() if k.startswith(_DATA)},
            "created_at": created,
            "updated_at": float(fields.get("ua", created)),
            "finished_at": float(fields["fa"]) if "fa" in fields else None,
            "result_blob": fields.get("rb"),
            "lowest_confidence": float(fields["lc"]) if "lc" in fields else None,
            "error": fields.get("er"),
            "asked": fields.get("rq", ""),
            "spent_tokens": [int(token) for token in fields.get("xt", "").split()],
        }
    )


def _lease(fields: Mapping[str, str]) -> Lease | None:
    if "lu" not in fields:
        return None
    return Lease(token=int(fields["tk"]), worker=fields["lw"], until=float(fields["lu"]))


def jobs_of(flat: Sequence[str]) -> list[Job]:
    """Return the jobs of a script's answer: id, hash, id, hash, ..."""
    found = (job_of(flat[i], fields_of(flat[i + 1])) for i in range(0, len(flat), 2))
    return [job for job in found if job is not None]


def events_of(lines: Iterable[str]) -> list[Event]:
    """Return the events of a log."""
    return [
        Event(at=at, kind=kind, stage=stage, worker=worker, attempt=attempt, detail=detail)
        for at, kind, stage, worker, attempt, detail in map(json.loads, lines)
    ]
