"""The metrics of a model that an engine of this process runs, read when they are asked for. Knows no step, no job."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from backends.base import EngineModel
from workers.jobs import Stage

_GAUGES = {
    "docroute_model_slots": ("slots", "Requests that the model reads at once."),
    "docroute_model_slots_busy": ("busy", "Slots with a request now."),
    "docroute_model_waiting": ("waiting", "Requests without a slot."),
    "docroute_model_captured": ("captured", "Shapes of steps that are replayed as CUDA graphs."),
    "docroute_model_memory_bytes": ("memory_bytes", "Device memory that this process holds."),
}
_COUNTERS = {
    "docroute_model_documents": ("documents", "Answers that the model has ended."),
    "docroute_model_tokens": ("tokens", "Tokens of these answers."),
    "docroute_model_out_of_memory": ("out_of_memory", "Groups of requests for which memory was short."),
    "docroute_model_capture_failures": ("capture_failures", "Captures of steps as CUDA graphs that failed."),
}


class ModelCollector(Collector):
    """What the model is (`docroute_model_info`), and what its engine is doing."""

    def __init__(self, stage: Stage, engine: EngineModel) -> None:
        self._stage, self._engine = stage, engine

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics."""
        yield self._info()
        state = self._engine.state()
        for name, (attribute, words) in _GAUGES.items():
            yield from self._numbers(GaugeMetricFamily(name, words, labels=["stage"]), getattr(state, attribute))
        for name, (attribute, words) in _COUNTERS.items():
            yield from self._numbers(CounterMetricFamily(name, words, labels=["stage"]), getattr(state, attribute))

    def _info(self) -> Metric:
        facts = self._engine.facts()
        labels = {
            "stage": self._stage,
            "model": facts.id,
            "revision": facts.revision or "",
            "weights": facts.weights_hash,
            "precision": facts.precision,
            "device": facts.device,
        }
        info = GaugeMetricFamily("docroute_model_info", "The model that reads; always 1.", labels=list(labels))
        info.add_metric(list(labels.values()), 1.0)
        return info

    def _numbers(
        self, family: GaugeMetricFamily | CounterMetricFamily, number: int | None
    ) -> Iterator[GaugeMetricFamily | CounterMetricFamily]:
        if number is not None:
            family.add_metric([self._stage], float(number))
            yield family
