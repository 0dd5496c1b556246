"""A message from a queue before Celery sees it: the task it asks for, a refusal that its sender is told of, or neither.

Knows the service's tasks and what a message for each must say; knows no store or server. Celery ends its worker over
messages that it does not understand, so it is given none: what it gets is written here, from the parts that were
checked, and nothing that a sender wrote goes along unseen. Who may write into a queue may therefore ask for the
service's tasks and for nothing else: no other task, no limits of time, no callbacks, which a worker would send in its
own name and with its own rights.
"""

from __future__ import annotations

import base64
import json
import re
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from kombu.utils.json import loads

from router.errors import MessageError
from workers.envelope import JSON_TYPE, Call, read_call, read_envelope, sender_of, shown
from workers.jobs import STAGES
from workers.redact import hidden
from workers.store_codec import one_line
from workers.submission import JOB_ID

SUBMIT, REFUSE = "docroute.submit", "docroute.refuse"
LATEST_ETA = timedelta(days=1)
NOT_AFTER = "not_after"
"""Header of a submission: the time, by the store's clock, after which it is refused."""
_STEPS = {f"docroute.{stage}": stage for stage in STAGES}
_ID = re.compile(r"[\x21-\x7e]{1,200}")
_LINKS = ("callbacks", "errbacks", "chain", "chord")
_REPR_CHARS = 400


@dataclass(frozen=True)
class Incoming:
    """What to do with a message. `payload`: what Celery is given; None: put it aside, for `reason`.

    `task` is empty for what is read in no form of the service's.
    """

    payload: dict[str, Any] | None = None
    reason: str = ""
    task: str = ""
    sender: str = ""


def read_message(raw: bytes, queue: str, step: int = 0) -> Incoming:
    """Return what a queue's message is. `step`: the priority of the list that it lay in. Raises nothing.

    Of a queue that is none of the service's, as that of answers to a command, only the envelope is checked.
    """
    sender = task = ""
    try:
        envelope = read_envelope(raw)
        if queue not in STAGES:
            return Incoming(envelope)
        sender = one_line(sender_of(envelope))
        call = read_call(envelope)
        task = one_line(call.task)
        return Incoming(_payload(_told(call, queue), queue, step), task=task, sender=sender)
    except MessageError as exc:
        return Incoming(None, one_line(str(exc)), task, sender)
    except Exception as exc:  # whatever nobody foresaw, it is the message's
        return Incoming(None, one_line(f"it cannot be read: {type(exc).__name__}: {exc}"), task, sender)


def job_of(raw: bytes, queue: str) -> str | None:
    """Return the job whose step a message asks for; None for a submission and for what is malformed."""
    try:
        call = read_call(read_envelope(raw))
        return _checked(call, queue).args[0] if call.task in _STEPS else None
    except Exception:
        return None


def _told(call: Call, queue: str) -> Call:
    """Return the call that is to be done: the one that was asked for, or a refusal of which its sender is told."""
    try:
        return _checked(call, queue)
    except MessageError as exc:
        if call.task in _STEPS or not (_names_somebody(call.kwargs) or (call.task == SUBMIT and call.kwargs)):
            raise
        reason = f"the message is refused: {one_line(str(exc))}"
        return Call(REFUSE, [], {"reason": reason, "arguments": call.kwargs}, {"argsrepr": reason})


def _names_somebody(arguments: dict[str, Any]) -> bool:
    """Return whether named arguments are those of a submission, so that a failed job says something to its sender."""
    job_id = arguments.get("job_id")
    return isinstance(arguments.get("callback_url"), str) or (isinstance(job_id, str) and _is_job_id(job_id))


def _checked(call: Call, queue: str) -> Call:
    """Return a call with what of its options is obeyed; raise `MessageError`."""
    if call.task not in (*_STEPS, SUBMIT, REFUSE):
        raise MessageError(f"there is no task {shown(call.task)}")
    home = _STEPS.get(call.task, queue if call.task == REFUSE and queue in STAGES else "intake")
    if home != queue:
        raise MessageError(f"{call.task} belongs into the queue {home}, not into {queue}")
    task_id = call.options.get("id")
    if not isinstance(task_id, str) or not _ID.fullmatch(task_id):
        raise MessageError(f"its id is {shown(task_id)}, and not 1 to 200 plain characters")
    obeyed = {"id": task_id} | _times(call) | _descriptions(call)
    for link in _LINKS:
        if call.options.get(link):
            raise MessageError(f"it has {link}; a worker sends nothing in the name of others")
    if call.task in _STEPS:
        return Call(call.task, [_job_id(call)], {}, {name: obeyed[name] for name in ("id", "argsrepr", "kwargsrepr")})
    if "self" in call.kwargs:
        raise MessageError("it has an argument self, which Celery keeps for itself")
    if call.task == REFUSE:
        _check_refusal(call)
    return Call(call.task, call.args, call.kwargs, obeyed)


def _check_refusal(call: Call) -> None:
    fields = call.kwargs
    sound = isinstance(fields.get("reason"), str) and isinstance(fields.get("arguments"), dict)
    if call.args or len(fields) != 2 or not sound:
        raise MessageError("a refusal has a reason and arguments, and nothing else")


def _job_id(call: Call) -> str:
    if len(call.args) == 1 and not call.kwargs:
        (job_id,) = call.args
    elif not call.args and list(call.kwargs) == ["job_id"]:
        job_id = call.kwargs["job_id"]
    else:
        raise MessageError(f"its one argument should be a job's id: {shown([call.args, call.kwargs])}")
    if not isinstance(job_id, str) or not _is_job_id(job_id):
        raise MessageError(f"its job is {shown(job_id)}, which is no id")
    return job_id


def _is_job_id(text: str) -> bool:
    return JOB_ID.fullmatch(text) is not None


def _times(call: Call) -> dict[str, str]:
    """Return the times that are obeyed: not before the one, not after the other."""
    eta, limit = _time(call, "eta"), call.options.get("timelimit")
    expires = _time(call, "expires") or _time(call, NOT_AFTER)
    if eta and eta - datetime.now(UTC) > LATEST_ETA:
        raise MessageError("its eta is more than a day away; send it later")
    if limit is not None and not (isinstance(limit, list) and len(limit) == 2 and all(map(_is_limit, limit))):
        raise MessageError(f"its time limit is {shown(limit)}")
    return ({"eta": eta.isoformat()} if eta else {}) | ({NOT_AFTER: expires.isoformat()} if expires else {})


def _time(call: Call, name: str) -> datetime | None:
    value = call.options.get(name)
    if value is None:
        return None
    try:
        time = datetime.fromisoformat(value)
        return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except (TypeError, ValueError, OverflowError) as exc:
        raise MessageError(f"its {name} is {shown(value)}, and no time") from exc


def _is_limit(seconds: object) -> bool:
    return seconds is None or (isinstance(seconds, int | float) and not isinstance(seconds, bool))


def _descriptions(call: Call) -> dict[str, str]:
    """Return what Flower and logs show of the call's arguments: no URL in it opens anything."""
    given = {name: call.options.get(name) for name in ("argsrepr", "kwargsrepr")}
    return {name: hidden(one_line(text))[:_REPR_CHARS] if isinstance(text, str) else "" for name, text in given.items()}


def _payload(call: Call, queue: str, step: int) -> dict[str, Any]:
    """Return the message for Celery, in its second protocol. The queue it came from is known, and not believed."""
    body = json.dumps([call.args, call.kwargs, {}])
    _decode_typed(body)
    task_id = call.options.get("id") or secrets.token_hex(16)
    return {
        "body": base64.b64encode(body.encode()).decode(),
        "content-encoding": "utf-8",
        "content-type": JSON_TYPE,
        "headers": {
            "lang": "py",
            "group": None,
            "parent_id": None,
            "ignore_result": True,
            **call.options,
            "task": call.task,
            "id": task_id,
            "root_id": task_id,
        },
        "properties": {
            "body_encoding": "base64",
            "delivery_info": {"exchange": "", "routing_key": queue},
            "delivery_tag": secrets.token_hex(16),
            "priority": step,
        },
    }


def _decode_typed(body: str) -> None:
    """Raise `MessageError` where kombu's own types of values, such as dates, cannot be read in a body."""
    if "__type__" in body:
        try:
            loads(body)
        except Exception as exc:
            raise MessageError(f"a value in its body cannot be read: {type(exc).__name__}: {exc}") from exc
