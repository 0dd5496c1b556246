"""A complexity score in words. Must not know thresholds or lanes: it says what is unusual, not what follows."""

from __future__ import annotations

from router.score import INTERCEPT, ScoreWeights, load_weights
from router.types import ComplexityScore

_LEAST_LOGIT = 0.15
"""A contribution below this moves a score by less than four points of a hundred: not worth a word."""

_PHRASES = {
    "blur": "blurred letters",
    "contrast": "faint print",
    "illumination": "uneven light",
    "skew": "text tilted by {value:.0f}°",
    "noise": "grainy paper",
    "specks": "specks between the letters",
    "blockiness": "strong compression",
    "line_density": "{value:.0f} lines of text",
    "tiled_glyph_height": "small letters ({value:.0f} px after tiling)",
    "ruling_length": "many ruling lines",
    "ruling_crossings": "a table of {value:.0f} crossing lines",
    "columns": "{value:.0f} columns",
    "picture_share": "pictures on {percent:.0f} % of the page",
    "page_count": "{value:.0f} pages",
    "text_layer": "a text layer",
    "blank": "a page without text",
}


def describe(score: ComplexityScore, weights: ScoreWeights | None = None, most: int = 3, harder: bool = True) -> str:
    """Return what makes a document harder (easier when not `harder`), strongest first; empty when nothing does.

    Values are recovered from the scaled features, so they stop at the ends of the weights' scales. Weights of another
    version than the score's give the phrases without numbers that could be wrong.
    """
    used = weights or load_weights()
    sign = 1.0 if harder else -1.0
    ranked = sorted(score.contributions.items(), key=lambda item: -sign * item[1])
    told = [name for name, logit in ranked if name != INTERCEPT and sign * logit >= _LEAST_LOGIT][:most]
    phrases = [_phrase(name, score, used) for name in told]
    return " and ".join([", ".join(phrases[:-1]), phrases[-1]] if len(phrases) > 1 else phrases)


def _phrase(name: str, score: ComplexityScore, weights: ScoreWeights) -> str:
    template, weight = _PHRASES.get(name, name.replace("_", " ")), weights.feature(name)
    if "{" not in template:
        return template
    if weight is None or score.weights_version != weights.version or name not in score.features:
        return name.replace("_", " ")
    value = weight.unscaled(score.features[name])
    return template.format(value=value, percent=100.0 * value)
