"""Prefill with fewer and larger operations: a model's own layers, called another way. Must not know requests or slots.

A third of a prefill's time goes into small operations around the matrix products. Here projections of one input are one
product, and norms, rotation and gates are one kernel each. The layers of transformers keep their weights and are given
another `forward`; what a layer cannot do this way (a mask, another norm, decoding) goes its old way.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import Cache
from transformers.modeling_outputs import BaseModelOutput

from backends.vlm.cache import PrefillCache
from backends.vlm.kernels import Kernels
from backends.vlm.projections import Projections

ALIGNED = 8
"""Numbers of two bytes in 16."""


def fuse(model: Any, text_model: Any, kernels: Kernels) -> None:
    """Give the layers of a text model, and of a vision tower that is known here, their fused way."""
    for index, layer in enumerate(text_model.layers):
        if hasattr(layer, "self_attn"):
            layer.forward = FusedTextLayer(layer, index, kernels)
        elif not hasattr(layer.mlp.forward, "projections"):
            layer.mlp.forward = FusedMlp(layer.mlp, kernels)
    tower = getattr(getattr(model, "model", None), "vision_tower", None)
    patches = getattr(getattr(tower, "embeddings", None), "patch_embeddings", None)
    projection: Any = getattr(patches, "projection", None)
    if PatchProduct.can_stand_for(projection):
        projection.forward = PatchProduct(projection)
    encoder = getattr(tower, "encoder", None)
    if encoder is not None and all(_is_known(layer) for layer in encoder.layer):
        encoder.forward = FusedVisionEncoder(encoder, kernels)


class FusedMlp:
    """A gated unit over (..., width)."""

    def __init__(self, mlp: Any, kernels: Kernels) -> None:
        self._mlp, self._kernels = mlp, kernels
        self.projections = Projections((mlp.gate_proj, mlp.up_proj))

    def __call__(self, x: Tensor) -> Tensor:
        """Return what the module would."""
        gate, up = self.projections(x.flatten(0, -2))
        out: Tensor = self._mlp.down_proj(self._kernels.gate(gate, up, self._mlp.act_fn))
        return out.view(*x.shape[:-1], -1)


class FusedTextLayer:
    """A layer with causal self-attention over whole prompts, padded on the right."""

    def __init__(self, layer: Any, index: int, kernels: Kernels) -> None:
        self._layer, self._index, self._kernels = layer, index, kernels
        self._unfused = type(layer).forward
        attention = layer.self_attn
        self._head_dim, self._scale = int(attention.head_dim), float(attention.scaling)
        self._heads = Projections((attention.q_proj, attention.k_proj, attention.v_proj))
        self._mlp = FusedMlp(layer.mlp, kernels)

    def __call__(
        self,
        hidden_states: Tensor,
        attention_mask: Tensor | None = None,
        position_embeddings: tuple[Tensor, Tensor] | None = None,
        **more: Any,
    ) -> Tensor:
        """Return what the layer would, hidden states (prompts, tokens, width)."""
        cache = more.get("cache", more.get("past_key_values"))
        if attention_mask is not None or position_embeddings is None or not isinstance(cache, PrefillCache):
            out: Tensor = self._unfused(
                self._layer,
                hidden_states,
                attention_mask=attention_mask,
                position_embeddings=position_embeddings,
                **more,
            )
            return out
        layer, kernels = self._layer, self._kernels
        x = hidden_states.flatten(0, 1)
        mixed = self._attend(kernels.norm(x, layer.input_layernorm), hidden_states.shape, position_embeddings, cache)
        normed, x = kernels.add_norm(x, layer.self_attn.o_proj(mixed), layer.post_attention_layernorm)
        return x.add_(self._mlp(normed)).view_as(hidden_states)

    def _attend(self, normed: Tensor, shape: torch.Size, turn: tuple[Tensor, Tensor], cache: Cache) -> Tensor:
        prompts, tokens = shape[0], shape[1]
        query, key, value = (part.view(prompts, tokens, -1, self._head_dim) for part in self._heads(normed))
        # every prompt starts at position 0, so that all rows turn alike
        angles = (turn[0][0].contiguous(), turn[1][0].contiguous())
        query, key = (self._kernels.rotate_prompt(heads, angles).transpose(1, 2) for heads in (query, key))
        value = value.transpose(1, 2)
        key, value = cache.update(key, value, self._index)
        mixed = functional.scaled_dot_product_attention(
            query, key, value, is_causal=True, scale=self._scale, enable_gqa=query.shape[1] != key.shape[1]
        )
        return mixed.transpose(1, 2).reshape(prompts * tokens, -1)


class PatchProduct:
    """A convolution whose patches do not overlap, as a matrix product: the convolution takes many times as long."""

    def __init__(self, projection: nn.Conv2d) -> None:
        self._side, self._bias = projection.kernel_size[0], projection.bias
        weight = projection.weight.detach().flatten(1)
        # a row of 588 numbers is no whole number of 16 bytes, which the fast products want
        self._weight = functional.pad(weight, (0, -weight.shape[1] % ALIGNED))

    @staticmethod
    def can_stand_for(convolution: Any) -> bool:
        """Return whether this is a plain convolution of squares beside one another."""
        if type(convolution) is not nn.Conv2d:
            return False
        size = convolution.kernel_size
        side_by_side = convolution.stride == size and size[0] == size[1] and convolution.padding in ((0, 0), "valid")
        return bool(side_by_side and convolution.groups == 1 and convolution.dilation == (1, 1))

    def __call__(self, pixels: Tensor) -> Tensor:
        """Return (tiles, width, rows, columns) of tiles (tiles, channels, height, width)."""
        side, channels = self._side, pixels.shape[1]
        rows, columns = pixels.shape[2] // side, pixels.shape[3] // side
        whole = pixels[..., : rows * side, : columns * side]
        cut = whole.unflatten(3, (columns, side)).unflatten(2, (rows, side)).permute(0, 2, 4, 1, 3, 5)
        patches = self._weight.new_zeros(len(pixels), rows, columns, self._weight.shape[1])
        patches[..., : channels * side * side].unflatten(-1, (channels, side, side)).copy_(cut)
        return functional.linear(patches, self._weight, self._bias).permute(0, 3, 1, 2)


class FusedVisionEncoder:
    """All layers of an InternViT (arXiv 2312.14238): layer norm, attention, layer scale, layer norm, perceptron."""

    def __init__(self, encoder: Any, kernels: Kernels) -> None:
        self._layers, self._kernels = list(encoder.layer), kernels
        self._heads = [
            Projections((one.attention.q_proj, one.attention.k_proj, one.attention.v_proj)) for one in self._layers
        ]

    def __call__(self, hidden_states: Tensor, **_: Any) -> BaseModelOutput:
        """Return what the encoder would, hidden states (tiles, patches, width)."""
        kernels, shape = self._kernels, hidden_states.shape
        x = hidden_states.flatten(0, 1)
        normed = kernels.layer_norm(x, self._layers[0].layernorm_before)
        for index, layer in enumerate(self._layers):
            update = layer.attention.projection_layer(self._attend(index, normed, shape))
            normed, x = kernels.add_layer_norm(x, update, layer.lambda_1, layer.layernorm_after)
            update = layer.mlp.fc2(layer.mlp.activation_fn(layer.mlp.fc1(normed)))
            if index + 1 < len(self._layers):
                following = self._layers[index + 1].layernorm_before
                normed, x = kernels.add_layer_norm(x, update, layer.lambda_2, following)
            else:
                x = torch.addcmul(x, layer.lambda_2, update)
        return BaseModelOutput(last_hidden_state=x.view(shape))

    def _attend(self, index: int, normed: Tensor, shape: torch.Size) -> Tensor:
        attention = self._layers[index].attention
        query, key, value = (
            part.view(shape[0], shape[1], attention.num_heads, -1).transpose(1, 2)
            for part in self._heads[index](normed)
        )
        mixed = functional.scaled_dot_product_attention(query, key, value, scale=attention.scale)
        return mixed.transpose(1, 2).reshape(normed.shape)


def _is_known(layer: Any) -> bool:
    norms = (getattr(layer, "layernorm_before", None), getattr(layer, "layernorm_after", None))
    has_parts = all(hasattr(layer, name) for name in ("attention", "mlp", "lambda_1", "lambda_2"))
    return has_parts and all(isinstance(norm, nn.LayerNorm) for norm in norms) and not _norms_heads(layer.attention)


def _norms_heads(attention: Any) -> bool:
    return not isinstance(getattr(attention, "q_norm", nn.Identity()), nn.Identity)
