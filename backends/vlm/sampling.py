"""Logits -> the next token. Knows probabilities only: no slots, budgets or vocabularies.

Greedy unless asked otherwise, because a confidence needs a reading that can be repeated. A sampled token is drawn with
a number that was fixed when the request came, from its own seed: it does not depend on who else is in the batch.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from backends.vlm.kernels import Kernels, Scores


@dataclass(frozen=True)
class Sampling:
    """How a request's tokens are chosen: temperature 0 takes the likeliest; `top_p` in (0, 1] cuts the tail."""

    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.temperature < 0 or not 0 < self.top_p <= 1:
            raise ValueError(f"temperature must be >= 0 and top_p in (0, 1], not {self.temperature} and {self.top_p}")

    @property
    def greedy(self) -> bool:
        """Return whether the likeliest token is always taken."""
        return self.temperature == 0

    def uniforms(self, count: int) -> Tensor:
        """Return `count` numbers in [0, 1) float32 that decide the draws, always the same for one seed."""
        if self.greedy:
            return torch.zeros(count)
        return torch.rand(count, generator=torch.Generator().manual_seed(self.seed))


GREEDY = Sampling()


@dataclass(frozen=True)
class Draw:
    """Per row: temperature, top_p and this step's uniform number, each float32 (rows,)."""

    temperature: Tensor
    top_p: Tensor
    uniform: Tensor


def choose(logits: Tensor, kernels: Kernels, draw: Draw | None = None) -> Scores:
    """Return the chosen tokens of logits (rows, vocabulary) and what the model's own distribution says of them.

    Without `draw` every row is greedy. Log-probability, entropy and margin are of the model's distribution, before
    temperature and top_p.
    """
    scores = kernels.scores(logits)
    if draw is None:
        return scores
    logits = logits.float()
    token = torch.where(draw.temperature > 0, _drawn(logits, draw), scores.token)
    chosen = logits.gather(-1, token[:, None])[:, 0]
    return Scores(token, chosen - torch.logsumexp(logits, -1), scores.entropy, scores.margin)


def _drawn(logits: Tensor, draw: Draw) -> Tensor:
    """Return a token a row from the smallest set of likeliest tokens that holds `top_p` of the probability."""
    heat = draw.temperature.clamp(min=1e-4)[:, None]
    ordered, tokens = (logits / heat).sort(dim=-1, descending=True)
    probability = ordered.softmax(-1)
    reached = probability.cumsum(-1)
    kept = (reached - probability) < draw.top_p[:, None]
    mass = (probability * kept).cumsum(-1)
    wanted = draw.uniform[:, None] * mass[:, -1:]
    place = (mass <= wanted).sum(-1, keepdim=True).clamp(max=logits.shape[-1] - 1)
    last = kept.sum(-1, keepdim=True) - 1
    return tokens.gather(-1, torch.minimum(place, last))[:, 0]
