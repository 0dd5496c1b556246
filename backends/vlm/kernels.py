"""The operations of steps and prefills, in plain torch. Must not know layers, slots' owners or graphs.

`TorchKernels` is the reference that every device can run; `triton_kernels.TritonKernels` does the same in fewer
launches and reads only what is filled. One token a row: every activation is (rows, width).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True)
class Scores:
    """What a row's logits say, each (rows,): the likeliest token, its log-probability (<= 0), the entropy in nats and
    the difference of the two largest log-probabilities (>= 0)."""

    token: Tensor
    logprob: Tensor
    entropy: Tensor
    margin: Tensor


class Kernels(Protocol):
    """Operations of one step."""

    reads_filled_only: bool
    """Whether attention's cost goes with the filled length; if not, a step is cut to the longest live row."""

    def norm(self, x: Tensor, module: nn.Module) -> Tensor:
        """Return the RMS norm of x (rows, width)."""
        ...

    def add_norm(self, x: Tensor, update: Tensor, module: nn.Module) -> tuple[Tensor, Tensor]:
        """Return the RMS norm of x + update, and x + update itself, both (rows, width)."""
        ...

    def rotate_and_write(
        self,
        heads: HeadStates,
        turn: tuple[Tensor, Tensor],
        keys: Tensor,
        values: Tensor,
        positions: Tensor,
        slots: Tensor | None = None,
    ) -> Tensor:
        """Rotate query and key by `turn` (cosine and sine, (rows, head_dim)), write key and value at `positions`
        (rows,) of `keys` and `values` (slots, kv_heads, length, head_dim), return the query (rows, heads, head_dim).
        Every row has a slot of its own, in their order, unless `slots` (rows,) says which."""
        ...

    def attend(
        self, query: Tensor, keys: Tensor, values: Tensor, lengths: Tensor, scale: float, longest: int
    ) -> Tensor:
        """Return attention of query (rows, heads, head_dim) over the first `lengths` (rows,) positions of the rows of
        keys and values (slots, kv_heads, length, head_dim): (rows, heads * head_dim). No length exceeds `longest`."""
        ...

    def attend_tails(
        self, query: Tensor, keys: Tensor, values: Tensor, rows: Tensor, visible: Tensor, scale: float, longest: int
    ) -> Tensor:
        """Return attention of query (n, tokens, heads, head_dim) over the slots `rows` (n,) of keys and values (slots,
        kv_heads, length, head_dim), each token over the first `visible` (n, tokens) positions, at least 1 and at most
        `longest`: (n * tokens, heads * head_dim)."""
        ...

    def gate(self, gate: Tensor, up: Tensor, activation: Any) -> Tensor:
        """Return activation(gate) * up, (rows, intermediate)."""
        ...

    def scores(self, logits: Tensor) -> Scores:
        """Return what logits (rows, vocabulary) say, in float32."""
        ...

    def rotate_prompt(self, heads: Tensor, turn: tuple[Tensor, Tensor]) -> Tensor:
        """Return heads (prompts, tokens, heads, head_dim) rotated by `turn` ((tokens, head_dim) each); may change them
        where they are."""
        ...

    def layer_norm(self, x: Tensor, module: nn.LayerNorm) -> Tensor:
        """Return the layer norm of x (rows, width)."""
        ...

    def add_layer_norm(self, x: Tensor, update: Tensor, scale: Tensor, module: nn.LayerNorm) -> tuple[Tensor, Tensor]:
        """Return the layer norm of x + scale * update, and x + scale * update itself; `scale` is (width,)."""
        ...


@dataclass(frozen=True)
class HeadStates:
    """One token's query (rows, heads, head_dim), key and value (rows, kv_heads, head_dim)."""

    query: Tensor
    key: Tensor
    value: Tensor


class TorchKernels:
    """The reference: the operations of transformers' own modules, in their order."""

    reads_filled_only = False

    def norm(self, x: Tensor, module: nn.Module) -> Tensor:
        """See `Kernels`."""
        normed: Tensor = module(x)
        return normed

    def add_norm(self, x: Tensor, update: Tensor, module: nn.Module) -> tuple[Tensor, Tensor]:
        """See `Kernels`."""
        total = x + update
        return self.norm(total, module), total

    def rotate_and_write(
        self,
        heads: HeadStates,
        turn: tuple[Tensor, Tensor],
        keys: Tensor,
        values: Tensor,
        positions: Tensor,
        slots: Tensor | None = None,
    ) -> Tensor:
        """See `Kernels`."""
        cos, sin = turn[0][:, None], turn[1][:, None]
        rows = torch.arange(positions.shape[0], device=positions.device) if slots is None else slots
        keys[rows, :, positions] = heads.key * cos + _half_turned(heads.key) * sin
        values[rows, :, positions] = heads.value
        return heads.query * cos + _half_turned(heads.query) * sin

    def attend(
        self, query: Tensor, keys: Tensor, values: Tensor, lengths: Tensor, scale: float, longest: int
    ) -> Tensor:
        """See `Kernels`. The queries of a key's head go as rows of one product: keys are never repeated over heads."""
        rows, heads, head_dim = query.shape
        kv_heads = keys.shape[1]
        shared = query.reshape(rows, kv_heads, heads // kv_heads, head_dim)
        filled = torch.arange(longest, device=lengths.device) < lengths[:, None]
        out = functional.scaled_dot_product_attention(
            shared, keys[:rows, :, :longest], values[:rows, :, :longest], attn_mask=filled[:, None, None], scale=scale
        )
        return out.reshape(rows, heads * head_dim)

    def attend_tails(
        self, query: Tensor, keys: Tensor, values: Tensor, rows: Tensor, visible: Tensor, scale: float, longest: int
    ) -> Tensor:
        """See `Kernels`."""
        seen = torch.arange(longest, device=visible.device) < visible[..., None]
        key, value = (cached[:, :, :longest].index_select(0, rows) for cached in (keys, values))
        grouped = query.shape[2] != keys.shape[1]
        out = functional.scaled_dot_product_attention(
            query.transpose(1, 2), key, value, attn_mask=seen[:, None], scale=scale, enable_gqa=grouped
        )
        return out.transpose(1, 2).flatten(2).flatten(0, 1)

    def gate(self, gate: Tensor, up: Tensor, activation: Any) -> Tensor:
        """See `Kernels`."""
        gated: Tensor = activation(gate) * up
        return gated

    def scores(self, logits: Tensor) -> Scores:
        """See `Kernels`."""
        logits = logits.float()
        top, token = logits.max(-1)
        second = logits.scatter(-1, token[:, None], float("-inf")).amax(-1)
        whole = torch.logsumexp(logits, -1)
        mean = (torch.exp(logits - whole[:, None]) * logits).sum(-1)
        return Scores(token, top - whole, (whole - mean).clamp(min=0.0), top - second)

    def rotate_prompt(self, heads: Tensor, turn: tuple[Tensor, Tensor]) -> Tensor:
        """See `Kernels`."""
        cos, sin = turn[0][:, None], turn[1][:, None]
        return heads * cos + _half_turned(heads) * sin

    def layer_norm(self, x: Tensor, module: nn.LayerNorm) -> Tensor:
        """See `Kernels`."""
        normed: Tensor = module(x)
        return normed

    def add_layer_norm(self, x: Tensor, update: Tensor, scale: Tensor, module: nn.LayerNorm) -> tuple[Tensor, Tensor]:
        """See `Kernels`."""
        total = scale * update + x
        return self.layer_norm(total, module), total


def _half_turned(x: Tensor) -> Tensor:
    first, second = x.chunk(2, dim=-1)
    return torch.cat((-second, first), dim=-1)
