"""A text layer through the stages of the service: what one lane did not believe, no later one is shown."""

from __future__ import annotations

import pytest
from bad_inputs import text_pdf
from steps_world import SURE, UNSURE, StepsWorld

from backends.base import ExtractionRequest
from router.types import Extraction

LINES = [f"line {number} of a page that has words enough" for number in range(6)]
REASON = 'the text layer says "99.00" where the page shows "11.00"'


class Doubting:
    """A lane that does not believe the first page's text layer, and notes how many words it was shown."""

    relative_cost = 1.0

    def __init__(self, lane, disbelieved):
        self.name, self._lane, self._disbelieved = lane.name, lane, disbelieved
        self.shown: list[int] = []

    def extract(self, request: ExtractionRequest) -> Extraction:
        self.shown.append(len(request.document.pages[0].words))
        return self._lane.extract(request).model_copy(update={"disbelieved": self._disbelieved})


def test_a_layer_that_the_fast_lane_did_not_believe_is_not_shown_to_the_deep_one(tmp_path):
    world = StepsWorld(tmp_path, [SURE, UNSURE])
    runtime = world.runtime
    fast, deep = (Doubting(runtime.lane(stage), told) for stage, told in (("fast", {1: REASON}), ("deep", {})))
    runtime._lanes.update(fast=fast, deep=deep)
    world.submit(text_pdf(LINES))
    world.drive()
    assert fast.shown[0] > 20
    assert deep.shown == [0]
    assert world.result()["notes"] == [f"page 1: {REASON}"]


@pytest.mark.parametrize(("text_layer", "has_words"), [("auto", True), ("trust", True), ("ignore", False)])
def test_workers_follow_the_setting(tmp_path, text_layer, has_words):
    world = StepsWorld(tmp_path, [SURE])
    world.settings = world.settings.model_copy(update={"text_layer": text_layer})
    world.runtime = world.new_runtime()
    lane = Doubting(world.runtime.lane("fast"), {})
    world.runtime._lanes["fast"] = lane
    world.submit(text_pdf(LINES))
    world.drive()
    assert [bool(count) for count in lane.shown] == [has_words]
