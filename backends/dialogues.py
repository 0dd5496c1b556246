"""Runs dialogues with any model. Knows the protocols of models; no prompt, no field and no document."""

from __future__ import annotations

from collections.abc import Sequence

from backends.base import ConversingModel, Dialogue, Generation, GenerationRequest, Model
from router.errors import ExtractionError


def converse(model: Model, dialogues: Sequence[Dialogue]) -> None:
    """Run all dialogues to their ends; raise what a request or a dialogue raises.

    A model that cannot keep what it made of pictures is asked every question with them, those of one round together.
    """
    if isinstance(model, ConversingModel):
        model.converse(dialogues)
        return
    try:
        open_ones = [(dialogue, next(dialogue, None)) for dialogue in dialogues]
        while asked := [(dialogue, request) for dialogue, request in open_ones if request is not None]:
            requests = [request for _, request in asked]
            answers = model.generate_batch(requests)
            if len(answers) != len(requests):
                raise ExtractionError(f"{model.name} gave {len(answers)} answers to {len(requests)} requests")
            open_ones = [
                (dialogue, answered(dialogue, answer)) for (dialogue, _), answer in zip(asked, answers, strict=True)
            ]
    finally:
        for dialogue in dialogues:
            dialogue.close()


def answered(dialogue: Dialogue, answer: Generation) -> GenerationRequest | None:
    """Return the next request of a dialogue that is told an answer, None at its end."""
    try:
        return dialogue.send(answer)
    except StopIteration:
        return None
