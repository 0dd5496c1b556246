"""The metrics of one worker, from the reports of its steps. Knows no queue and no HTTP.

Every label has few values: stages, outcomes and states; never a job, document, schema or field.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, disable_created_metrics

from workers.jobs import Stage
from workers.runtime import StepReport

SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)
WAIT_SECONDS = (0.05, 0.25, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14400.0, 86400.0)
CONFIDENCES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0)
BATCH_SIZES = (1, 2, 4, 8, 16, 24, 32, 48, 64, 96, 128, 192, 256)
ATTEMPTS = (1, 2, 3, 5, 10)


class StepMetrics:
    """Counters and histograms in a registry of their own. Safe for threads."""

    def __init__(self) -> None:
        # They would be a series more for each counter that nobody draws.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._steps = self._counter("docroute_steps", "Steps by how they ended.", "stage", "outcome")
        self._results = self._counter("docroute_results", "Jobs that this worker ended, by their final state.", "state")
        words = "Results whose confidences are not calibrated for the lanes that read."
        self._uncalibrated = self._counter("docroute_results_uncalibrated", words)
        self._fields = self._counter("docroute_fields", "Fields that a review looked at.")
        self._escalated = self._counter("docroute_fields_escalated", "Fields that a review sent to the deep lane.")
        self._lost = self._counter("docroute_reports_lost", "Steps that are missing here: their report was lost.")
        self._seconds = self._histogram("docroute_step_seconds", "How long a step took.", SECONDS)
        self._wait = self._histogram("docroute_queue_wait_seconds", "How long a job waited for a step.", WAIT_SECONDS)
        self._attempts = self._histogram("docroute_step_attempts", "At which attempt a step was.", ATTEMPTS)
        self._confidence = self._histogram("docroute_field_confidence", "Confidence of fields read.", CONFIDENCES)
        self._batch = self._histogram("docroute_batch_size", "Requests that a model read at once.", BATCH_SIZES)

    def observe(self, report: StepReport) -> None:
        """Count a step."""
        self._steps.labels(report.stage, report.outcome).inc()
        self._seconds.labels(report.stage).observe(report.elapsed_s)
        self._attempts.labels(report.stage).observe(report.attempt)
        if report.wait_s is not None:
            self._wait.labels(report.stage).observe(report.wait_s)
        if report.state is not None:
            self._results.labels(report.state).inc()
        self._uncalibrated.inc(not report.calibrated)
        for confidence in report.confidences:
            self._confidence.labels(report.stage).observe(confidence)
        self._fields.inc(report.fields)
        self._escalated.inc(report.escalated)

    def observe_batch(self, stage: Stage, size: int) -> None:
        """Count a batch of a model's engine."""
        self._batch.labels(stage).observe(size)

    def count_lost(self, reports: int) -> None:
        """Count reports that did not arrive."""
        self._lost.inc(reports)

    def _counter(self, name: str, words: str, *labels: str) -> Counter:
        return Counter(name, words, labels, registry=self.registry)

    def _histogram(self, name: str, words: str, buckets: tuple[float, ...]) -> Histogram:
        return Histogram(name, words, ("stage",), buckets=buckets, registry=self.registry)
