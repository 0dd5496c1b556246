"""A broker that loses its disk under load, and a worker whose clock is weeks ahead: no job and no result is lost."""

import os
import shutil
import subprocess
import sys

import pytest
from steps_world import SURE
from valkey_server import ValkeyServer
from worker_processes import Start, page, shifted_clock, wait_for

from workers.deep_check import DeepCheck
from workers.jobs import STAGES
from workers.service_settings import BrokerSettings
from workers.submit import Client

pytestmark = pytest.mark.redis
DOCUMENTS = 30


def test_a_worker_whose_clock_is_40_days_ahead_removes_no_result(service: Start) -> None:
    s = service(SURE)
    ahead = shifted_clock(s.folder / "clock", 40 * 86400)
    workers = s.start(*STAGES)
    for number in range(DOCUMENTS):
        s.submit(page(number), f"job{number}")
    s.wait_until_ended(DOCUMENTS)
    s.terminate(*workers)  # so that the next one sweeps, and at once
    s.start("intake", PYTHONPATH=ahead)
    refusal = "no blob is deleted while this machine's clock is"
    wait_for(lambda: refusal in s.log.read_text(errors="replace"), "the worker refuses to delete")
    assert list(s.blobs.trashed()) == []
    s.assert_sound(DOCUMENTS)


def test_a_broker_that_loses_its_disk_under_load_loses_no_acknowledged_job(
    service: Start, valkey_server: ValkeyServer
) -> None:
    s = service(SURE | {"delay_s": 0.2}, broker=BrokerSettings(url=valkey_server.url))
    workers = s.start(*STAGES)
    with Client(s.settings) as client:
        ids = [client.submit(page(number), schema="note").job_id for number in range(DOCUMENTS)]
    wait_for(lambda: s.ended() >= 5, "some are done")
    valkey_server.kill()
    shutil.rmtree(valkey_server.folder / "appendonlydir")
    valkey_server.start()
    wait_for(lambda: "came back empty" in s.log.read_text(errors="replace"), "the workers tell it")
    command = [sys.executable, "-W", "ignore", "-m", "workers.cli", "recover", "--json"]
    environment = {**os.environ, **s.environment}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    s.wait_until_ended(DOCUMENTS)
    assert [worker.poll() for worker in workers] == [None] * 3
    jobs = s.store.get_many(ids)
    assert {job.state for job in jobs.values()} == {"done"}
    assert {s.blobs.get_json(job.result_blob or "")["job_id"] for job in jobs.values()} == set(ids)
    assert sum(s.store.counts().values()) == DOCUMENTS
    comparison = DeepCheck(s.store, s.blobs, s.settings.service.retention)
    for _ in comparison.run():
        pass
    assert comparison.findings.counts == {}
