"""The complexity score: its arithmetic, its pages, its weights as data."""

import json
import math

import cv2
import numpy as np
import pytest

from router.errors import SettingsError
from router.features import FEATURES
from router.reasons import describe
from router.score import load_weights, logistic, parse_weights, score_document, score_features, scored_pages
from router.types import Document, Page


class Pictures:
    """Pages drawn here; remembers which ones were asked for."""

    def __init__(self, *images):
        self.images, self.asked = images, []

    def image(self, number):
        self.asked.append(number)
        return self.images[number - 1]


def text_page(blur=0.0):
    rgb = np.full((1200, 900, 3), 255, np.uint8)
    for y in range(60, 1180, 50):
        cv2.putText(rgb, "Invoice 1234 total 56.78 EUR", (40, y), cv2.FONT_HERSHEY_SIMPLEX, 0.9, (0, 0, 0), 2)
    return cv2.GaussianBlur(rgb, (0, 0), blur) if blur else rgb


def document(count=1, blank=()):
    pages = tuple(Page(number=n, width_px=900, height_px=1200, blank=n in blank) for n in range(1, count + 1))
    return Document(id="0" * 64, uri="x.pdf", media_type="application/pdf", size_bytes=1, pages=pages)


def test_the_contributions_sum_to_the_logit_of_the_score():
    score = score_document(document(), Pictures(text_page(2.0)))
    assert logistic(sum(score.contributions.values())) == pytest.approx(score.value)
    assert set(score.contributions) == set(score.features) | {"intercept"}
    assert score.weights_version == load_weights().version
    assert score.elapsed_ms > 0


def test_a_blurred_page_scores_higher_and_says_so():
    sharp, blurred = (score_document(document(), Pictures(text_page(blur))) for blur in (0.0, 3.5))
    assert blurred.value > sharp.value
    assert "blur" in describe(blurred)
    assert "blur" not in describe(sharp)


def test_the_hardest_page_speaks_for_the_document():
    pictures = Pictures(text_page(), text_page(3.5), text_page())
    score = score_document(document(3), pictures)
    assert score.hardest_page == 2
    assert score.value == pytest.approx(
        max(score_document(document(3), Pictures(image, image, image)).value for image in pictures.images)
    )


def test_a_long_document_is_sampled_from_end_to_end():
    assert [page.number for page in scored_pages(document(300), 4)] == [1, 101, 200, 300]
    assert [page.number for page in scored_pages(document(300), 1)] == [1]
    assert [page.number for page in scored_pages(document(3), 4)] == [1, 2, 3]


def test_blank_pages_are_neither_sampled_nor_rendered():
    pictures = Pictures(text_page(), text_page())
    assert score_document(document(2, blank={1}), pictures).hardest_page == 2
    assert pictures.asked == [2]


def test_a_document_of_blank_pages_is_easy_and_unrendered():
    pictures = Pictures()
    assert score_document(document(2, blank={1, 2}), pictures).value < 0.1
    assert pictures.asked == []


def test_a_signal_that_could_not_be_measured_counts_as_easy():
    features, contributions = score_features({}, load_weights())
    assert set(features.values()) == {0.0}
    assert sum(contributions.values()) == load_weights().intercept


def test_the_shipped_weights_use_every_signal():
    assert {weight.name for weight in load_weights().features} == set(FEATURES)


def test_scaling_and_its_inverse_agree_in_both_directions():
    for weight in load_weights().features:
        assert weight.scaled(weight.easy) == 0.0
        assert weight.scaled(weight.hard) == 1.0
        assert weight.unscaled(weight.scaled((weight.easy + weight.hard) / 2)) == pytest.approx(
            (weight.easy + weight.hard) / 2
        )


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        ({"name": "colour"}, "no feature 'colour'"),
        ({"easy": 1.0, "hard": 1.0}, "the same value"),
        ({"coefficient": "much"}, "features.0.coefficient"),
    ],
)
def test_wrong_weights_name_the_file_and_the_fault(change, cause):
    feature = {"name": "blur", "easy": 0.0, "hard": 1.0, "coefficient": 1.0} | change
    with pytest.raises(SettingsError, match=r"mine\.json") as caught:
        parse_weights(json.dumps({"version": "x", "intercept": 0, "features": [feature]}), "mine.json")
    assert cause in str(caught.value)


def test_a_missing_weights_file_is_named(tmp_path):
    with pytest.raises(SettingsError, match=r"none\.json: cannot read"):
        load_weights(tmp_path / "none.json")


def test_the_logistic_function_stays_finite_at_both_ends():
    assert logistic(-1000) == 0.0
    assert logistic(1000) == 1.0
    assert math.isclose(logistic(0.3) + logistic(-0.3), 1.0)
