"""Blank pages are told from faint ones."""

from __future__ import annotations

import io
from collections.abc import Callable

import cv2
import numpy as np
import pytest
from PIL import Image

from router.documents.blank import ink_marks, is_blank
from router.types import Rgb


def paper(shade: int = 255, height: int = 1400, width: int = 1000) -> Rgb:
    return np.full((height, width, 3), shade, np.uint8)


def noisy(rgb: Rgb, sigma: float) -> Rgb:
    noise = np.random.default_rng(7).normal(0, sigma, rgb.shape)
    return np.clip(rgb + noise, 0, 255).astype(np.uint8)


def with_text(rgb: Rgb, shade: int, text: str = "Total 12.50", scale: float = 0.7) -> Rgb:
    rgb = rgb.copy()
    cv2.putText(rgb, text, (300, 500), cv2.FONT_HERSHEY_SIMPLEX, scale, (shade,) * 3, 2, cv2.LINE_AA)
    return rgb


def with_shadow(rgb: Rgb) -> Rgb:
    ramp = np.clip(np.linspace(60, 400, rgb.shape[1]), 0, 255)[None, :, None]
    return (rgb * (ramp / 255)).astype(np.uint8)


def with_dark_border(rgb: Rgb) -> Rgb:
    rgb = rgb.copy()
    rgb[:, :25] = 20
    rgb[-15:] = 40
    return rgb


def with_holes(rgb: Rgb) -> Rgb:
    rgb = rgb.copy()
    for y in (400, 1000):
        cv2.circle(rgb, (45, y), 18, (40, 40, 40), -1)
    return rgb


def with_dust(rgb: Rgb) -> Rgb:
    rgb = rgb.copy()
    spots = np.random.default_rng(3).integers(40, 960, (60, 2))
    for x, y in spots:
        rgb[y : y + 2, x : x + 2] = 120
    return rgb


def enlarged(rgb: Rgb) -> Rgb:
    return np.asarray(cv2.resize(rgb, (2480, 3508)), np.uint8)


def compressed(rgb: Rgb) -> Rgb:
    buffer = io.BytesIO()
    Image.fromarray(noisy(rgb, 3)).save(buffer, "JPEG", quality=40)
    return np.asarray(Image.open(buffer))


SPOILINGS: list[Callable[[Rgb], Rgb]] = [
    lambda rgb: rgb,
    with_shadow,
    with_dark_border,
    with_holes,
    with_dust,
    lambda rgb: noisy(rgb, 4),
    lambda rgb: noisy(rgb, 12),
    enlarged,
    compressed,
]


@pytest.mark.parametrize("shade", [255, 235, 180])
@pytest.mark.parametrize("spoil", SPOILINGS)
def test_an_empty_page_is_blank_however_spoilt(spoil: Callable[[Rgb], Rgb], shade: int) -> None:
    assert is_blank(spoil(paper(shade)))


@pytest.mark.parametrize("spoil", SPOILINGS)
def test_a_line_of_text_is_not_blank_however_spoilt(spoil: Callable[[Rgb], Rgb]) -> None:
    assert not is_blank(spoil(with_text(paper(240), 60)))


@pytest.mark.parametrize("shade", [200, 220, 236])
def test_faint_text_is_not_blank(shade: int) -> None:
    assert not is_blank(noisy(with_text(paper(250), shade), 1))


def test_light_text_on_dark_paper_is_not_blank() -> None:
    assert not is_blank(with_text(paper(30), 220))


@pytest.mark.parametrize("shape", [(1, 1), (1, 2000), (7, 9), (20, 30)])
def test_tiny_pictures_are_judged_without_failing(shape: tuple[int, int]) -> None:
    assert is_blank(paper(255, *shape))


def test_marks_lie_in_page_fractions_where_the_ink_is() -> None:
    marks = ink_marks(with_text(paper(), 0))
    assert marks.shape[1] == 2
    assert np.all((marks[:, 0] > 0.29) & (marks[:, 0] < 0.5))
    assert np.all((marks[:, 1] > 0.33) & (marks[:, 1] < 0.37))
