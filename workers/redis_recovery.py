"""What the Redis store does to notice and to mend its own loss. Knows jobs, no blob."""
# ruff: noqa: D102 - the contract describes the methods.

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from workers.broker import Server
from workers.jobs import Ended, JobSpec
from workers.redis_webhooks import callback_arg
from workers.store_codec import data_args, one_line, spec_json
from workers.store_recovery import RECOVERED


class RedisRecovery:
    """This part of `workers.store.Store`."""

    _server: Server
    _run: Callable[..., Any]
    _key: Callable[[str], str]
    _finished_s: float

    def epoch(self) -> str | None:
        epoch: str | None = self._server.do(lambda client: client.get(self._key("epoch")))
        return epoch

    def join_epoch(self, epoch: str, replace: bool = False) -> str:
        self._server.do(lambda client: client.set(self._key("epoch"), epoch, nx=not replace))
        return self.epoch() or epoch

    def read_again(self, job_id: str, detail: str) -> bool:
        return bool(self._run("read_again", job_id, one_line(detail)))

    def restore(self, job_id: str, spec: JobSpec, ended: Ended, created_at: float, asked: str = "") -> bool:
        known = {name: value for name, value in ended.data.items() if value is not None}
        confidence = "" if ended.lowest_confidence is None else repr(ended.lowest_confidence)
        end = ended.state, ended.result_blob or "", confidence, one_line(ended.error or ""), self._finished_s
        args = spec_json(spec), callback_arg(spec.callback_url), f"{created_at:.6f}", *end, RECOVERED, asked
        return bool(self._run("restore", job_id, *args, *data_args(known)))
