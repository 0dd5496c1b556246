"""What the steps of one process share: settings, store, blobs, the lane of its stage, the policy under recent traffic.

Knows no Celery: the publishing of the next message is a function it is given. Everything is made with its first use,
so that a process that is about to fork has made nothing yet.
"""

from __future__ import annotations

import datetime as dt
import logging
import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

from backends import registry
from backends.base import EngineModel, Lane, engine_of
from router.decisions import Decisions
from router.errors import BackendUnavailableError
from workers.blobs import Blobs, make_blobs
from workers.decisions import create_decisions
from workers.gate import SoloGate
from workers.jobs import Job, Stage, State
from workers.lease import LeaseKeeper
from workers.load import Traffic
from workers.settings import Settings
from workers.storage_guard import StorageGuard
from workers.store import Store

Publish = Callable[[Job], None]
LOOK_EVERY_S = 0.25
"""How old the number of jobs that wait for the deep lane may be."""
NOTE_S = 3.0
"""What a process counted reaches the store after this long at the latest."""
ASSUMED_COSTS = {"fast": 1.0, "deep": 4.0}
"""Of lanes whose backend is not installed where documents are routed."""
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class LaneChoice:
    """The backend of a worker's stage where it is not the settings' one, and the device it is to use."""

    backend: str | None = None
    device: str | None = None


@dataclass(frozen=True)
class StepReport:
    """What one step of one job took and led to, for metrics.

    `wait_s` is None where it is unknown. `state` is the final state where the step ended the job, with the confidences
    of its fields and whether they are calibrated. `fields` were read, and `escalated` of them go to the deep lane.
    """

    job_id: str
    stage: Stage
    outcome: str
    attempt: int
    elapsed_s: float
    wait_s: float | None = None
    state: State | None = None
    confidences: tuple[float, ...] = ()
    calibrated: bool = True
    fields: int = 0
    escalated: int = 0


def _today() -> dt.date:
    return dt.date.today()


@dataclass
class Runtime:
    """One process's means.

    `observe` is told of every step; it must be quick and raise nothing. `note_messages` notes what `publish` published.
    """

    settings: Settings
    store: Store
    publish: Publish
    choice: LaneChoice = LaneChoice()
    observe: Callable[[StepReport], None] = lambda report: None
    note_messages: Callable[[], None] = lambda: None
    today: Callable[[], dt.date] = _today
    gate: SoloGate = field(default_factory=SoloGate)
    _backlog: tuple[float, int] = (-math.inf, 0)
    _lanes: dict[Stage, Lane] = field(default_factory=dict)
    _making: threading.Lock = field(default_factory=threading.Lock)

    @cached_property
    def blobs(self) -> Blobs:
        """Where originals and results lie."""
        return make_blobs(self.settings.service.blobs)

    @cached_property
    def storage(self) -> StorageGuard:
        """What keeps this process from taking work while its blobs fail."""
        return StorageGuard(lambda: self.blobs.check())

    @cached_property
    def decisions(self) -> Decisions:
        """What is decided with for the lanes, as it was shipped or set."""
        return create_decisions(self.settings, self.choice.backend)

    @cached_property
    def traffic(self) -> Traffic:
        """Recent traffic, for the budget."""
        return Traffic(self.store, self.decisions.policy)

    @cached_property
    def leases(self) -> LeaseKeeper:
        """What keeps leases running."""
        return LeaseKeeper(self.store, each_round=self.note)

    def deep_backlog(self) -> int:
        """Return how many jobs wait for the deep lane, or did a moment ago; raise `StoreError`."""
        looked_at, waiting = self._backlog
        if time.monotonic() - looked_at > LOOK_EVERY_S:
            waiting = self.store.waiting_count("deep")
            self._backlog = time.monotonic(), waiting
        return waiting

    def note(self, older_than_s: float = NOTE_S) -> None:
        """Write down what was only kept in mind: messages at once, numbers after a while; raise `StoreError`."""
        self.note_messages()
        self.traffic.flush(older_than_s)

    @cached_property
    def costs(self) -> tuple[float, float]:
        """Relative costs of the fast and the deep lane, by which documents are routed."""
        return self._cost("fast"), self._cost("deep")

    def lane(self, stage: Stage) -> Lane:
        """Return the lane of a stage; raise `BackendError` when it cannot be made."""
        with self._making:  # two threads must not load the same model
            if stage not in self._lanes:
                self._lanes[stage] = create_lane(self.settings, stage, self.choice)
            return self._lanes[stage]

    def prepare(self, stage: Stage) -> None:
        """Make what the steps of a stage need, before threads share it, models loaded and captured.

        Raises `DocrouteError` for what cannot be.
        """
        _ = self.blobs, self.storage, self.decisions, self.traffic, self.leases
        if stage == "intake":
            _ = self.costs
            return
        engine = engine_of(self.lane(stage))
        if engine is not None:
            engine.load()

    def engine(self, stage: Stage) -> EngineModel | None:
        """Return the model of a stage's lane if an engine runs it; raise `BackendError`."""
        return engine_of(self.lane(stage)) if stage != "intake" else None

    def close(self) -> None:
        """End the engines of the lanes; requests without an answer are cancelled."""
        for lane in self._lanes.values():
            engine = engine_of(lane)
            if engine is not None:
                engine.close(drain=False)

    def _cost(self, stage: Stage) -> float:
        lanes = self.settings.lanes
        name = lanes.fast if stage == "fast" else lanes.deep
        known = lanes.options_of(name).get("relative_cost", registry.declared_cost(name))
        if isinstance(known, int | float):
            return float(known)
        try:
            return create_lane(self.settings, stage, LaneChoice()).relative_cost
        except BackendUnavailableError as exc:
            _LOG.warning("the cost of the %s lane is taken as %g: %s", stage, ASSUMED_COSTS[stage], exc)
            return ASSUMED_COSTS[stage]


def create_lane(settings: Settings, stage: Stage, choice: LaneChoice) -> Lane:
    """Return the lane of the fast or the deep stage; raise `BackendError` when it cannot be made."""
    lanes = settings.lanes
    name = choice.backend or (lanes.fast if stage == "fast" else lanes.deep)
    options: dict[str, object] = dict(lanes.options_of(name))
    if choice.device is not None:
        options["device"] = choice.device
    return registry.create(name, options)
