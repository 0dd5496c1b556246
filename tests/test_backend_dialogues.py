"""Dialogues with a model that cannot keep pictures: every question is asked with them, in rounds."""

from typing import ClassVar

import pytest

from backends.dialogues import converse


def test_dialogues_are_closed_when_a_model_fails():
    closed = []

    def dialogue():
        try:
            yield None if closed else "a request"
        finally:
            closed.append(True)

    class Failing:
        name = "failing"

        def generate_batch(self, requests):
            raise RuntimeError(f"{len(requests)} failed")

    with pytest.raises(RuntimeError, match="2 failed"):
        converse(Failing(), [dialogue(), dialogue()])
    assert closed == [True, True]


def test_dialogues_of_different_lengths_run_side_by_side():
    class Counting:
        name = "counting"
        rounds: ClassVar[list] = []

        def generate_batch(self, requests):
            self.rounds.append(list(requests))
            return [request.upper() for request in requests]

    heard = []

    def dialogue(*questions):
        for question in questions:
            heard.append((yield question))

    converse(Counting(), [dialogue("a", "b"), dialogue(), dialogue("c", "d", "e")])
    assert Counting.rounds == [["a", "c"], ["b", "d"], ["e"]]
    assert sorted(heard) == ["A", "B", "C", "D", "E"]
