"""Damage to page pictures, as cameras, scanners and thermal paper do it, and to words, as a recogniser does it.

Pure OpenCV and NumPy; knows no document. Severity 0 leaves a picture almost as it was, 1 makes it hard to read.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

import cv2
import numpy as np
from numpy.typing import NDArray

from router.types import Rgb, Word

_CONFUSIONS = dict(zip("O0I1lS5B8G6Z2oecaitnuD79éèüöäç€£$", "0O1l15S8B6G2Z0ceolfrvO1geeuoacEES", strict=True))


def degrade(rgb: Rgb, kind: str, severity: float, seed: int) -> Rgb:
    """Return a damaged copy of the picture.

    `kind` is one of KINDS, `severity` in [0,1]; skew keeps the size by filling with the paper's colour. Raises
    ValueError for an unknown kind or a severity out of range.
    """
    if kind not in _WAYS:
        raise ValueError(f"unknown degradation {kind!r}; known are {', '.join(KINDS)}")
    if not 0 <= severity <= 1:
        raise ValueError(f"severity must lie in [0, 1], not {severity}")
    return _WAYS[kind](rgb, severity, np.random.default_rng(seed))


def _blur(rgb: Rgb, severity: float, rng: np.random.Generator) -> Rgb:
    """Defocus, and for half of the pictures a little motion."""
    scale = min(rgb.shape[:2]) / 1000
    out = cv2.GaussianBlur(rgb, (0, 0), 0.3 + 2.6 * severity * scale)
    if rng.random() < 0.5:
        length = max(1, round(7 * severity * scale))
        kernel = np.zeros((length, length), np.float32)
        kernel[length // 2] = 1 / length
        out = cv2.filter2D(out, -1, kernel)
    return _bytes(out)


def _skew(rgb: Rgb, severity: float, rng: np.random.Generator) -> Rgb:
    """Rotation up to 8 degrees and a mild perspective."""
    height, width = rgb.shape[:2]
    angle = np.deg2rad(8.0 * severity * rng.choice([-1, 1]) * rng.uniform(0.6, 1))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float64)
    centre = corners.mean(axis=0)
    moved = (corners - centre) @ turn.T + rng.uniform(-0.025, 0.025, (4, 2)) * severity * (width, height)
    shrink = min(1.0, width / np.ptp(moved[:, 0]), height / np.ptp(moved[:, 1]))
    target = moved * shrink + centre
    matrix = cv2.getPerspectiveTransform(corners.astype(np.float32), target.astype(np.float32))
    paper = tuple(int(v) for v in np.percentile(rgb[::8, ::8].reshape(-1, 3), 75, axis=0))
    warped = cv2.warpPerspective(rgb, matrix, (width, height), flags=cv2.INTER_LINEAR, borderValue=paper)
    return _bytes(warped)


def _noise(rgb: Rgb, severity: float, rng: np.random.Generator) -> Rgb:
    """Sensor noise, and specks of dirt."""
    height, width = rgb.shape[:2]
    out = rgb.astype(np.float32) + rng.normal(0, 45 * severity, (height, width, 1)).astype(np.float32)
    specks = rng.random((height, width)) < 0.004 * severity
    out[specks] = rng.choice([0.0, 255.0])
    return _bytes(out)


def _shadow(rgb: Rgb, severity: float, rng: np.random.Generator) -> Rgb:
    """Uneven light: a slope across the page and the soft edge of a shadow."""
    height, width = rgb.shape[:2]
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    x, y = x / width - 0.5, y / height - 0.5
    angle = rng.uniform(0, 2 * np.pi)
    across = x * np.cos(angle) + y * np.sin(angle)
    edge = 1 / (1 + np.exp(-(across - rng.uniform(-0.2, 0.2)) * rng.uniform(12, 40)))
    light = 1 - severity * (0.35 * (across + 0.5) + 0.45 * edge)
    tint = np.array([1.0, 1 - 0.04 * severity, 1 - 0.12 * severity], np.float32)
    return _bytes(rgb * np.clip(light, 0.12, 1)[:, :, None] * tint)


def _low_resolution(rgb: Rgb, severity: float, rng: np.random.Generator) -> Rgb:
    """Fewer pixels, the size kept: from 1/1 to 1/4 a side."""
    height, width = rgb.shape[:2]
    factor = 1 + 3 * severity
    small = cv2.resize(rgb, (max(1, int(width / factor)), max(1, int(height / factor))), interpolation=cv2.INTER_AREA)
    return _bytes(cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR))


def _jpeg(rgb: Rgb, severity: float, rng: np.random.Generator) -> Rgb:
    """Compression from quality 75 down to 6."""
    done, data = cv2.imencode(".jpg", rgb[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, int(75 - 69 * severity)])
    again = cv2.imdecode(data, cv2.IMREAD_COLOR) if done else None
    if again is None:
        raise ValueError("the picture could not be encoded")
    return _bytes(again[:, :, ::-1])


def _fade(rgb: Rgb, severity: float, rng: np.random.Generator) -> Rgb:
    """Thermal print: missing dots, lines of a weak print head, pale ink in patches."""
    height, width = rgb.shape[:2]
    patches = cv2.resize(rng.random((6, 4)).astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
    dots = rng.random((height, width), dtype=np.float32) < 0.25 * severity
    ink = (255 - rgb.astype(np.float32)) * np.clip(1 - severity * (0.45 + 0.5 * patches), 0.08, 1)[:, :, None]
    ink[dots] *= 0.35
    for column in rng.integers(0, width, int(3 * severity)):
        ink[:, column : column + 2] *= 0.2
    return _bytes(255 - cv2.GaussianBlur(ink, (0, 0), 0.6))


def _rotate180(rgb: Rgb, severity: float, rng: np.random.Generator) -> Rgb:
    """The page upside down, whatever the severity."""
    return np.ascontiguousarray(rgb[::-1, ::-1])


def _bytes(values: NDArray[np.generic]) -> Rgb:
    return np.ascontiguousarray(np.clip(values, 0, 255).astype(np.uint8))


_WAYS: dict[str, Callable[[Rgb, float, np.random.Generator], Rgb]] = {
    "blur": _blur, "skew": _skew, "noise": _noise, "shadow": _shadow, "low_resolution": _low_resolution, "jpeg": _jpeg,
    "fade": _fade, "rotate180": _rotate180,
}  # fmt: skip
KINDS = tuple(_WAYS)


def noisy_words(words: Sequence[Word], rate: float, seed: int) -> tuple[Word, ...]:
    """Return the words as a recogniser might read them.

    `rate` in [0,1] is about the share of words that are touched: letters confused, punctuation dropped, a word split in
    two or merged with the next on its line, rarely a word lost. Boxes follow, and a damaged word's confidence falls.
    """
    rng, out, position = Random(seed), list[Word](), 0
    while position < len(words):
        word = words[position]
        position += 1
        if rng.random() >= rate:
            out.append(word)
            continue
        way = rng.random()
        if way < 0.04:
            continue
        if way < 0.2 and position < len(words) and _same_line(word, words[position]):
            out.append(_merged(word, words[position], rng.choice(["", " "])))
            position += 1
        elif way < 0.32 and len(word.text) > 3:
            out += _split(word, rng.randint(1, len(word.text) - 1))
        else:
            out.append(_confused(word, rng))
    return tuple(out)


def _confused(word: Word, rng: Random) -> Word:
    letters, touched = list(word.text), 0
    for _ in range(1 + (rng.random() < 0.25)):
        place = rng.randrange(len(letters))
        spots = [i for i, c in enumerate(letters) if c in _CONFUSIONS or c in ".,:;-'"]
        place = rng.choice(spots) if spots else place
        old = letters[place]
        if old in ".,:;-'":
            letters[place] = rng.choice(["", "", ".", ",", " "])
        elif old in _CONFUSIONS:
            letters[place] = _CONFUSIONS[old]
        else:
            letters[place] = rng.choice(["", old.lower(), old + old])
        touched += 1
    text = "".join(letters).strip() or word.text
    return word.model_copy(update={"text": text, "confidence": round(rng.uniform(0.55, 0.97) - 0.05 * touched, 3)})


def _split(word: Word, at: int) -> list[Word]:
    x1, top, x2, _, _, bottom, _, _ = word.polygon
    middle = x1 + (x2 - x1) * at / len(word.text)
    boxes = ((x1, top, middle, top, middle, bottom, x1, bottom), (middle, top, x2, top, x2, bottom, middle, bottom))
    texts = (word.text[:at], word.text[at:])
    return [Word(text=t, polygon=b, confidence=0.9) for t, b in zip(texts, boxes, strict=True) if t.strip()]


def _merged(first: Word, second: Word, joint: str) -> Word:
    x1, top, _, _, _, bottom, _, _ = first.polygon
    right = second.polygon[2]
    box = (x1, top, right, top, right, bottom, x1, bottom)
    return Word(text=first.text + joint + second.text, polygon=box, confidence=0.93)


def _same_line(first: Word, second: Word) -> bool:
    height = first.polygon[5] - first.polygon[1]
    gap = second.polygon[0] - first.polygon[2]
    return abs(first.polygon[1] - second.polygon[1]) < 0.3 * height and 0 <= gap < 2 * height
