"""A store under test, with the shortest ways to bring a job into a state."""

from collections.abc import Callable
from dataclasses import dataclass

from workers.jobs import FINAL, JobSpec, State
from workers.service_settings import RetentionSettings
from workers.store import Store

LONG_S = 600.0
SHORT_S = 0.6
"""Long enough for the few calls that must come before it is over, on a busy machine too."""
RETENTION = RetentionSettings(finished_s=2.0, dead_s=6.0)
EXPIRED_S = RETENTION.finished_s + 0.1
DEAD_EXPIRED_S = RETENTION.dead_s + 0.1


@dataclass
class World:
    """A store, and a way to let its time pass."""

    store: Store
    sleep: Callable[[float], None]

    def create(self, job_id: str = "job", **spec: object) -> str:
        self.store.create(job_id, JobSpec(document_id="a" * 64, **spec))
        return job_id

    def begin(self, job_id: str = "job", stage: str = "intake", lease_s: float = LONG_S) -> int:
        begun = self.store.begin(job_id, stage, "w1", lease_s, 3)
        assert begun.outcome == "started"
        assert begun.job is not None
        assert begun.job.lease is not None
        return begun.job.lease.token

    def begin_again(self, stage: str = "intake", lease_s: float = LONG_S) -> int:
        """Begin however many attempts there were."""
        job = self.store.begin("job", stage, "w1", lease_s, 1000).job
        assert job is not None
        assert job.lease is not None
        return job.lease.token

    def bring_to(self, state: State, job_id: str = "job", stage: str = "fast", **spec: object) -> str:
        """A job in a state, by the shortest way; `stage` for the states that have several."""
        self.create(job_id, **spec)
        if state == "cancelled":
            self.store.cancel(job_id)
        if state in {"received", "cancelled"}:
            return job_id
        token = self.begin(job_id)
        if state == "failed":
            self.store.fail(job_id, token, "broken", dead=False)
        elif state in FINAL:
            self.store.finish(job_id, token, state, f"results/{job_id}.json", 0.5, {})
        else:
            target = "deep" if state == "escalated" else stage
            self.store.advance(job_id, token, target, state == "escalated", {})
            if state == "extracting":
                self.begin(job_id, stage)
        return job_id

    def kinds(self, job_id: str = "job") -> list[str]:
        return [event.kind for event in self.store.events(job_id)]
