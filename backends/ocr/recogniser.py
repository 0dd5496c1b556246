"""Reads one line's picture: text, and for each character its probability and place. Knows no page."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from backends.ocr.models import RecognitionModel
from router.types import Rgb

_HEIGHT_PX = 48
_STEP_PX = 8  # widths are multiples of the models' stride
_MAX_WIDTH_PX = 3200


@dataclass(frozen=True)
class LineReading:
    """What a recogniser read in one crop.

    `probabilities`: one a character, in [0,1]; `positions`: each character's centre as a fraction of the crop's width.
    `runners_up`: the second most likely character at each place, with its probability.
    """

    text: str
    probabilities: tuple[float, ...]
    positions: tuple[float, ...]
    runners_up: str = ""
    runner_up_probabilities: tuple[float, ...] = ()

    def second_guess(self) -> tuple[str, tuple[float, ...]]:
        """Return the runners-up and their probabilities."""
        return self.runners_up, self.runner_up_probabilities

    @property
    def confidence(self) -> float:
        """Return the mean character probability, 0 for an empty reading."""
        return sum(self.probabilities) / len(self.probabilities) if self.probabilities else 0.0


def read_line(model: RecognitionModel, crop: Rgb) -> LineReading:
    """Return the reading of one line crop (height, width, 3).

    Lines go through one at a time at their own width: a batch would pad short ones, which costs more than batching wins
    on a CPU.
    """
    pixels = _prepare(crop)
    output = model.session.run(None, {model.session.get_inputs()[0].name: pixels})[0][0]
    used = min(crop.shape[1] * _HEIGHT_PX / crop.shape[0], _MAX_WIDTH_PX) / pixels.shape[3]
    return _decode(output, model.alphabet, used)


def _prepare(crop: Rgb) -> np.ndarray:
    """Return the crop as (1, 3, 48, width), BGR in [-1, 1], padded with zeros (mid grey) on the right."""
    height, width = crop.shape[:2]
    target = max(4, min(math.ceil(_HEIGHT_PX * width / height), _MAX_WIDTH_PX))
    padded = math.ceil(max(target, 32) / _STEP_PX) * _STEP_PX
    # large print shrinks by more than two: average it, or thin strokes fall between the samples
    interpolation = cv2.INTER_AREA if height > 2 * _HEIGHT_PX else cv2.INTER_LINEAR
    resized = cv2.resize(crop, (target, _HEIGHT_PX), interpolation=interpolation)
    pixels = np.zeros((1, 3, _HEIGHT_PX, padded), np.float32)
    pixels[0, :, :, :target] = resized[:, :, ::-1].transpose(2, 0, 1) / np.float32(127.5) - np.float32(1)
    return pixels


def _decode(output: np.ndarray, alphabet: tuple[str, ...], used: float) -> LineReading:
    """Greedy CTC: collapse repeats, drop blanks.

    `output`: (steps, classes) probabilities; `used`: the share of the width that is picture, not padding.
    """
    best = output.argmax(axis=1)
    starts = np.flatnonzero((best != 0) & (best != np.concatenate([[0], best[:-1]])))
    if not len(starts):
        return LineReading("", (), ())
    rows = output[starts].copy()
    rows[:, 0] = -1.0
    order = np.argpartition(rows, -2, axis=1)[:, -2:]
    order = np.take_along_axis(order, np.argsort(np.take_along_axis(rows, order, axis=1), axis=1), axis=1)
    text = "".join(alphabet[k - 1] for k in order[:, 1])
    left, right = len(text) - len(text.lstrip()), len(text.rstrip())
    chosen, second = (np.minimum(np.take_along_axis(rows, order[:, k : k + 1], axis=1)[:, 0], 1.0) for k in (1, 0))
    positions = np.minimum((starts + 0.5) / len(best) / used, 1.0)
    return LineReading(
        text[left:right],
        tuple(map(float, chosen[left:right])),
        tuple(map(float, positions[left:right])),
        "".join(alphabet[k - 1] for k in order[left:right, 0]),
        tuple(map(float, np.maximum(second[left:right], 0.0))),
    )
