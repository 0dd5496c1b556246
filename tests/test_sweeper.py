"""The sweeper, leases and the gate: what keeps jobs moving when workers, messages and connections are lost."""

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from steps_world import SURE, StepsWorld

from router.errors import StoreError
from workers.chore import Chore
from workers.gate import SoloGate
from workers.jobs import Stage
from workers.lease import Held, LeaseKeeper
from workers.sweeper import Sweeper


class Queues:
    """What the broker would say."""

    def __init__(self) -> None:
        self.held: set[str] = set()
        self.upcoming: list[str] = []

    def held_jobs(self, stage: Stage, within_s: float) -> set[str]:
        return self.held

    def next_jobs(self, stage: Stage) -> list[str]:
        return self.upcoming


def poll(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture
def world(tmp_path: Path) -> StepsWorld:
    return StepsWorld(tmp_path, [SURE])


@pytest.fixture
def queues() -> Queues:
    return Queues()


@pytest.fixture
def sweeper(world: StepsWorld, queues: Queues) -> Sweeper:
    return Sweeper(world.runtime, queues, lost_after_s=20.0, clock=lambda: world.time)


def test_a_job_whose_lease_ran_out_is_published_again(world: StepsWorld, sweeper: Sweeper) -> None:
    world.submit()
    world.store.published("job", "intake")
    world.store.begin("job", "intake", "dying", 60.0, 3)
    world.messages.clear()
    assert sweeper.run_once().published == 0
    world.time += 61.0
    swept = sweeper.run_once()
    assert (swept.expired, swept.published) == (1, 1)
    assert world.messages == [("intake", "job")]


def test_a_job_that_was_created_but_never_published_is_published(world: StepsWorld, sweeper: Sweeper) -> None:
    world.submit()
    world.messages.clear()
    world.time += 11.0
    assert sweeper.run_once().published == 1
    assert world.messages == [("intake", "job")]


def lost_job(world: StepsWorld, job_id: str = "job") -> None:
    world.submit(job_id=job_id)
    world.store.published(job_id, "intake")
    world.messages.clear()


def test_a_job_whose_message_was_lost_is_published_again_once(world: StepsWorld, sweeper: Sweeper) -> None:
    lost_job(world)
    world.time += 15.0
    assert sweeper.run_once().lost == 0, "it may just be slow"
    world.time += 10.0
    swept = sweeper.run_once()
    assert (swept.lost, swept.published) == (1, 1)
    world.store.published("job", "intake")
    world.time += 25.0
    assert sweeper.run_once().lost == 0


def test_a_job_whose_message_a_worker_holds_is_not_lost(world: StepsWorld, sweeper: Sweeper, queues: Queues) -> None:
    lost_job(world)
    queues.held = {"job"}
    world.time += 1000.0
    assert sweeper.run_once().lost == 0


def test_a_job_in_a_long_queue_is_not_lost_but_one_that_was_passed_over_is(
    world: StepsWorld, sweeper: Sweeper, queues: Queues
) -> None:
    lost_job(world, "older")
    world.time += 1.0
    lost_job(world, "first")
    world.time += 1.0
    lost_job(world, "second")
    queues.upcoming = ["unknown", "first", "second"]
    world.time += 1000.0
    assert sweeper.run_once().lost == 1
    assert world.messages == [("intake", "older")]


def test_a_retry_that_is_not_due_yet_is_not_lost(world: StepsWorld, sweeper: Sweeper) -> None:
    world.submit()
    begun = world.store.begin("job", "intake", "w", 60.0, 3)
    assert begun.job is not None
    assert begun.job.lease is not None
    world.store.retry("job", begun.job.lease.token, 300.0, "not now")
    world.messages.clear()
    world.time += 250.0
    assert sweeper.run_once().published == 0
    world.time += 60.0
    assert sweeper.run_once().published == 1


def test_blobs_go_when_no_retention_needs_them(world: StepsWorld, sweeper: Sweeper, tmp_path: Path) -> None:
    world.submit()
    world.drive()
    world.time = time.time()  # that of the blobs
    assert sweeper.purge_blobs() == 0
    assert list((tmp_path / "blobs" / "results").iterdir())


# -- chores
def test_one_process_at_a_time_does_a_chore_and_another_takes_over(world: StepsWorld) -> None:
    done: list[str] = []
    first = Chore("sweep", lambda: done.append("first"), world.store, "first", 0.01)
    second = Chore("sweep", lambda: done.append("second"), world.store, "second", 0.01)
    first.start()
    poll(lambda: len(done) > 2)
    second.start()
    poll(lambda: len(done) > 10)
    assert set(done) == {"first"}
    first.stop()
    poll(lambda: "second" in done)
    second.stop()


def test_a_chore_outlives_a_store_that_is_away_and_bugs(world: StepsWorld, caplog: pytest.LogCaptureFixture) -> None:
    done: list[int] = []

    def work() -> None:
        done.append(1)
        if len(done) < 4:
            raise StoreError("away") if len(done) == 1 else RuntimeError("a bug")

    chore = Chore("sweep", work, world.store, "me", 0.01)
    chore.start()
    poll(lambda: len(done) > 5)
    chore.stop()
    assert [record.getMessage() for record in caplog.records] == ["sweep: away; it goes on", "sweep: it works again"]


# -- leases
def test_a_lease_is_renewed_while_work_goes_on_and_its_loss_is_told(world: StepsWorld) -> None:
    world.submit()
    keeper = LeaseKeeper(world.store, poll_s=0.01)
    begun = world.store.begin("job", "intake", "w", 0.06, 3)
    assert begun.job is not None
    assert begun.job.lease is not None
    with keeper.hold("job", begun.job.lease.token, 0.06) as held:
        world.time += 0.05
        poll(lambda: (lease := world.job().lease) is not None and lease.until > world.time + 0.05)
        assert not held.lost.is_set()
        world.store.cancel("job")
        poll(held.lost.is_set)


def test_work_past_its_deadline_is_told_and_finished_work_is_not(world: StepsWorld) -> None:
    overdue: list[Held] = []
    keeper = LeaseKeeper(world.store, overdue=overdue.append, poll_s=0.01)
    with keeper.hold("job", 1, 1000.0) as held:
        with keeper.deadline(held, 1000.0):
            pass
        assert held.deadline is None
        with keeper.deadline(held, 0.02):
            poll(lambda: overdue)
    assert overdue[0].job_id == "job"


# -- the gate
def test_one_who_must_be_alone_waits_for_others_and_keeps_others_out() -> None:
    gate, inside, most = SoloGate(), [0], [0]
    alone_with: list[int] = []

    def pass_through(alone: bool) -> None:
        with gate.passage(alone):
            inside[0] += 1
            most[0] = max(most[0], inside[0])
            time.sleep(0.002)
            if alone:
                alone_with.append(inside[0])
            inside[0] -= 1

    threads = [threading.Thread(target=pass_through, args=(number % 5 == 0,)) for number in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert alone_with == [1] * 10
    assert most[0] > 1
