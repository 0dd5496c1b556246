"""The view of a running stack, as text, and the line that stands for it where there is no terminal."""

import io
import sys
import threading

import pytest
from rich.console import Console

from router.errors import StoreError
from workers.jobs import STAGES, STATES, JobSpec
from workers.live_view import live_view, plain_line, span
from workers.log_file import LogFile
from workers.queue_depth import Unacked
from workers.queue_watch import ServiceSight
from workers.service_settings import RetentionSettings
from workers.stack_process import Program, StackProcess
from workers.stack_pulse import Beat, Pulse, last_results
from workers.store_memory import MemoryStore


class NoGuard:
    def started(self, group):
        pass

    def ended(self, group):
        pass


class Watch:
    """Looks at a memory store; the broker holds nothing."""

    def __init__(self, store):
        self.store = store
        self.problem = None

    def look(self):
        if self.problem:
            raise StoreError(self.problem)
        return ServiceSight(
            at=self.store.now(),
            depth={stage: {"high": 2, "normal": 0} for stage in STAGES},
            unacked=Unacked(0, None),
            memory_bytes=1,
            waiting={stage: 41 if stage == "deep" else 0 for stage in STAGES},
            oldest_s=dict.fromkeys(STAGES, 125.0),
            jobs=self.store.counts(),
            statistics={"fields": 200.0, "fields_escalated": 10.0},
            dead_letters=3,
            dead_webhooks=0,
        )


@pytest.fixture
def store():
    made = MemoryStore(RetentionSettings())
    for number in range(10):
        made.create(f"j{number}", JobSpec(document_id="a" * 64, uri=f"file:///in/bill-{number}\x1b.png"))
        job = made.begin(f"j{number}", "intake", "w", 60, 3).job
        made.finish(job.id, job.lease.token, "done" if number % 2 else "needs_review", "b", 0.42, {})
    return made


def drawn(view):
    stream = io.StringIO()
    Console(file=stream, width=110).print(view)
    return stream.getvalue()


def process(tmp_path, *command):
    program = Program("fast-worker", command, {})
    return StackProcess(program, LogFile(tmp_path / "x.log"), NoGuard(), lambda line: None)


def test_the_view_shows_queues_rate_states_share_results_and_processes(store, tmp_path):
    running = process(tmp_path, sys.executable, "-c", "input()")
    down = process(tmp_path, "never-started")
    down.restarts = 2
    running.start()
    try:
        text = drawn(
            live_view(Pulse(Watch(store), store).look(), [running, down], [("logs", "x/logs")], ["it died"], 0.0)
        )
        assert str(running.pid) in text
    finally:
        running.kill()
    assert "deep   " in text
    assert "41" in text
    assert "2 min" in text
    assert "5% of fields escalated" in text
    assert "5 done" in text
    assert "5 needs_review" in text
    assert "bill-9" in text
    assert "0.42" in text
    assert "down" in text
    assert "3 dead letters: docroute dead list" in text
    assert "it died" in text
    assert "\x1b" not in text


def test_a_broker_that_is_away_is_told_in_the_view_and_in_the_line(store):
    watch = Watch(store)
    watch.problem = "cannot reach redis://host"
    beat = Pulse(watch, store).look()
    assert "cannot reach redis://host" in drawn(live_view(beat, [], [], [], 0.0))
    assert plain_line(beat) == "cannot reach redis://host"


def test_the_line_says_what_waits_what_ended_and_how_fast(store):
    line = plain_line(Pulse(Watch(store), store).look())
    assert (
        line == "waiting: intake 0, fast 0, deep 41; jobs: done 5, needs_review 5; 0 a minute, 5% of fields escalated"
    )


def test_the_rate_is_that_of_the_last_minute(store):
    times = iter([0.0, 30.0, 60.0, 120.0, 180.0])
    pulse = Pulse(Watch(store), store, clock=lambda: next(times))
    assert pulse.look().per_minute == 0
    for name in "xyz":
        store.create(name, JobSpec(document_id="a" * 64))
        store.cancel(name)
    assert [round(pulse.look().per_minute, 1) for _ in range(4)] == [6.0, 3.0, 0.0, 0.0]


def test_the_last_results_come_newest_first_whatever_their_state(store):
    found = last_results(store, limit=4)
    assert len(found) == 4
    assert [job.finished_at for job in found] == sorted((job.finished_at for job in found), reverse=True)


def test_counts_of_jobs_that_run_and_have_ended_add_up(store):
    beat = Pulse(Watch(store), store).look()
    assert (beat.ended, beat.running) == (10, 0)
    assert Beat().ended == Beat().running == 0
    assert set(beat.sight.jobs) == set(STATES)


def test_a_look_that_runs_when_the_stack_stops_is_waited_for_and_tells_of_no_closed_connection(store):
    class Slow(Watch):
        looking = threading.Event()

        def look(self):
            self.looking.set()
            pulse._stopped.wait(10)
            raise ValueError("I/O operation on closed file")

    pulse = Pulse(Slow(store), store)
    pulse.start()
    Slow.looking.wait(10)
    pulse.stop()
    assert "pulse" not in [thread.name for thread in threading.enumerate()]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-1, "0.0 s"), (0.24, "0.2 s"), (59, "59 s"), (119, "119 s"), (125, "2 min"), (7300, "2 h"), (200_000, "2 d")],
)
def test_spans_are_short(seconds, text):
    assert span(seconds) == text
