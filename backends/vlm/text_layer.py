"""The layers of Qwen2 and Mllama text models over rows of tokens. Must not know caches, positions or requests.

The modules and weights are those of transformers; only the way through them is written out here. What attention sees
is up to the caller: one new token of every slot, or the tails of several prompts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor, nn

from backends.vlm.kernels import HeadStates, Kernels
from backends.vlm.projections import Projections

Attend = Callable[[int, "TextLayer", Tensor], Tensor]
"""From a layer's index, the layer and normed activations (rows, width) to what attention mixed (rows, heads * dim)."""


class TextLayer:
    """A decoder layer with the projections of one input merged where they are plain matrices."""

    def __init__(self, block: Any, head_dim: int) -> None:
        self.block, self.head_dim = block, head_dim
        self.is_cross = hasattr(block, "cross_attn")
        self.attention = block.cross_attn if self.is_cross else block.self_attn
        self.scale = float(self.attention.scaling)
        attention = self.attention
        modules = (attention.q_proj, attention.k_proj, attention.v_proj)
        self._heads = None if self.is_cross else Projections(modules)
        self._mlp = Projections((block.mlp.gate_proj, block.mlp.up_proj))

    def project(self, x: Tensor) -> HeadStates:
        """Return query, key and value of x (rows, width)."""
        assert self._heads is not None
        query, key, value = (part.unflatten(-1, (-1, self.head_dim)) for part in self._heads(x))
        return HeadStates(query, key, value)

    def cross_query(self, x: Tensor, kernels: Kernels) -> Tensor:
        """Return the query (rows, heads, head_dim) that x (rows, width) has for the pictures' keys."""
        query = self.attention.q_proj(x).unflatten(-1, (-1, self.head_dim))
        return kernels.norm(query.flatten(0, 1), self.attention.q_norm).view_as(query)

    def attention_update(self, mixed: Tensor) -> Tensor:
        """Return what attention adds to the residual, (rows, width)."""
        update: Tensor = self.attention.o_proj(mixed)
        return self.block.cross_attn_attn_gate.tanh() * update if self.is_cross else update

    def mlp_update(self, x: Tensor, kernels: Kernels) -> Tensor:
        """Return what the gated unit adds to the residual, (rows, width)."""
        gate, up = self._mlp(x)
        update: Tensor = self.block.mlp.down_proj(kernels.gate(gate, up, self.block.mlp.act_fn))
        return self.block.cross_attn_mlp_gate.tanh() * update if self.is_cross else update


def text_layers(text_model: Any, head_dim: int) -> list[TextLayer]:
    """Return all layers of a text model."""
    return [TextLayer(block, head_dim) for block in text_model.layers]


def through(layers: Sequence[TextLayer], final_norm: nn.Module, kernels: Kernels, x: Tensor, attend: Attend) -> Tensor:
    """Return the normed output (rows, width) of all layers over embeddings x (rows, width)."""
    normed = kernels.norm(x, layers[0].block.input_layernorm)
    for index, layer in enumerate(layers):
        update = layer.attention_update(attend(index, layer, normed))
        normed, x = kernels.add_norm(x, update, layer.block.post_attention_layernorm)
        update = layer.mlp_update(normed, kernels)
        following = final_norm if index + 1 == len(layers) else layers[index + 1].block.input_layernorm
        normed, x = kernels.add_norm(x, update, following)
    return normed
