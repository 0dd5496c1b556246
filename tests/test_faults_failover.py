"""The master killed or standing still under load, again and again: others take over, nobody helps, nothing is lost."""

import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from steps_world import NO_NUMBER, SURE
from worker_processes import ServiceProcesses, Start, page, wait_for

from benchmarks.failover_world import FailoverServers, failover_servers
from workers.jobs import STAGES
from workers.service_settings import BrokerSettings
from workers.submit import Client

pytestmark = pytest.mark.redis
DOCUMENTS = 50
ATTEMPTS = 9
THROUGH_ALL = (SURE, NO_NUMBER, {"delay_s": 0.3})


NO_SPLIT = ("min-replicas-to-write 1", "min-replicas-max-lag 2")
"""A master whose replicas have left it takes nothing more, as one that others took over from while it stood still."""


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[FailoverServers]:
    with failover_servers(tmp_path / "servers", options=NO_SPLIT) as made:
        yield made


class Submitting(threading.Thread):
    """Submits documents one after another, as a client does, and notes which were acknowledged."""

    def __init__(self, service: ServiceProcesses) -> None:
        super().__init__()
        self.acknowledged: list[str] = []
        self._settings = service.settings

    def run(self) -> None:
        """Submit."""
        with Client(self._settings) as client:
            for number, done in enumerate(client.submit_many(map(page, range(DOCUMENTS)), schema="note")):
                assert done.error is None, (number, done.error)
                self.acknowledged.append(done.job_id)


def test_a_master_killed_twice_under_load_loses_no_acknowledged_job_and_doubles_none(
    service: Start, servers: FailoverServers
) -> None:
    limits = {"DOCROUTE_SERVICE__STEPS__MAX_ATTEMPTS": str(ATTEMPTS), "DOCROUTE_SERVICE__BROKER__REPLICAS": "1"}
    s = service(*THROUGH_ALL, broker=BrokerSettings(url=servers.url), **limits)
    workers = s.start(*STAGES)
    submitting = Submitting(s)
    submitting.start()
    for share in (1, 2):
        wait_for(lambda share=share: s.ended() >= 6 * share, "some are done")
        old = servers.fail_over(signal.SIGKILL if share == 1 else signal.SIGSTOP)
        old.start()
        old.send(signal.SIGCONT)
        servers.settle()
    submitting.join()
    s.wait_until_ended(DOCUMENTS)
    assert len(set(submitting.acknowledged)) == DOCUMENTS
    assert {s.job(job_id).state for job_id in submitting.acknowledged} == {"done"}
    assert [worker.poll() for worker in workers] == [None] * 3
    s.assert_sound(DOCUMENTS, max_attempts=ATTEMPTS)
