"""The operations of a step in Triton: few launches, and attention that reads only what is filled.

Imports Triton, so it may be imported only where that is installed; must not know layers or graphs.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import triton
from torch import Tensor, nn

from backends.vlm import triton_attention, triton_rows
from backends.vlm.kernels import HeadStates, Scores, TorchKernels

SCORES_BLOCK = 8192
GATE_BLOCK = 1024
TAIL_LANES = 64
PROGRAMS = 1056
"""About how many programs an attention should be cut into: eight for each multiprocessor of the largest devices."""


class TritonKernels(TorchKernels):
    """See `Kernels`; what has no kernel here runs as in the reference."""

    reads_filled_only = True

    def __init__(self, attend_block: int = 64, attend_stages: int = 2) -> None:
        self._block, self._stages = attend_block, attend_stages

    def norm(self, x: Tensor, module: nn.Module) -> Tensor:
        """See `Kernels`."""
        rows, width = x.shape
        out = torch.empty_like(x, memory_format=torch.contiguous_format)
        triton_rows.rms_norm[(rows,)](
            x, x, module.weight, out, out, x.stride(0), _epsilon(module), width, ADD=False, BLOCK=_power(width)
        )
        return out

    def add_norm(self, x: Tensor, update: Tensor, module: nn.Module) -> tuple[Tensor, Tensor]:
        """See `Kernels`."""
        rows, width = x.shape
        out, total = torch.empty_like(x), torch.empty_like(x)
        triton_rows.rms_norm[(rows,)](
            x, update, module.weight, out, total, x.stride(0), _epsilon(module), width, ADD=True, BLOCK=_power(width)
        )
        return out, total

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
        query, key, value = heads.query, heads.key, heads.value
        rows, count, dim = query.shape
        out = torch.empty((rows, count, dim), dtype=query.dtype, device=query.device)
        triton_rows.rotate_write[(rows, count + 2 * key.shape[1])](
            query, key, value, turn[0], turn[1], positions, positions if slots is None else slots, keys, values, out,
            query.stride(0), key.stride(0), value.stride(0), keys.stride(0), keys.stride(1),
            HEADS=count, KV_HEADS=key.shape[1], HALF=dim // 2, CHOSEN=slots is not None, num_warps=1,
        )  # fmt: skip
        return out

    def attend(
        self, query: Tensor, keys: Tensor, values: Tensor, lengths: Tensor, scale: float, longest: int
    ) -> Tensor:
        """See `Kernels`."""
        rows, heads, dim = query.shape
        kv_heads = keys.shape[1]
        chunk = chunk_length(rows * kv_heads, longest)
        chunks = -(-longest // chunk)
        part = torch.empty((rows, heads, chunks, dim), dtype=torch.float32, device=query.device)
        weights = torch.empty((rows, heads, chunks), dtype=torch.float32, device=query.device)
        out = torch.empty((rows, heads * dim), dtype=query.dtype, device=query.device)
        triton_attention.attend_chunk[(rows, kv_heads, chunks)](
            query, keys, values, lengths, part, weights, scale * math.log2(math.e), keys.stride(0), keys.stride(1),
            chunks, chunk, HEADS=heads, SHARED=heads // kv_heads, DIM=dim, LANES=max(16, _power(heads // kv_heads)),
            BLOCK=self._block, PRECISION="ieee" if query.dtype == torch.float32 else "tf32",
            num_warps=4, num_stages=self._stages if query.dtype != torch.float32 else 1,
        )  # fmt: skip
        triton_attention.attend_join[(rows, heads)](
            part, weights, lengths, out, chunks, chunk, HEADS=heads, DIM=dim, MOST=_power(chunks), num_warps=2
        )
        return out

    def attend_tails(
        self, query: Tensor, keys: Tensor, values: Tensor, rows: Tensor, visible: Tensor, scale: float, longest: int
    ) -> Tensor:
        """See `Kernels`."""
        tails, tokens, heads, dim = query.shape
        out = torch.empty((tails * tokens, heads * dim), dtype=query.dtype, device=query.device)
        exact = query.dtype == torch.float32
        lanes = 32 if exact else TAIL_LANES
        triton_attention.attend_tail[(-(-tokens // lanes), heads, tails)](
            query, keys, values, rows, visible, out, scale * math.log2(math.e), keys.stride(0), keys.stride(1), tokens,
            HEADS=heads, SHARED=heads // keys.shape[1], DIM=dim, LANES=lanes, BLOCK=self._block,
            PRECISION="ieee" if exact else "tf32", num_warps=4, num_stages=1 if exact else 2,
        )  # fmt: skip
        return out

    def gate(self, gate: Tensor, up: Tensor, activation: Any) -> Tensor:
        """See `Kernels`."""
        if not is_silu(activation):
            return super().gate(gate, up, activation)
        rows, width = gate.shape
        out = torch.empty((rows, width), dtype=gate.dtype, device=gate.device)
        triton_rows.silu_gate[(rows, -(-width // GATE_BLOCK))](
            gate, up, out, gate.stride(0), up.stride(0), width, BLOCK=GATE_BLOCK, num_warps=4
        )
        return out

    def scores(self, logits: Tensor) -> Scores:
        """See `Kernels`."""
        rows, width = logits.shape
        parts = -(-width // SCORES_BLOCK)
        part = torch.empty((rows, 5, parts), dtype=torch.float32, device=logits.device)
        token = torch.empty(rows, dtype=torch.int64, device=logits.device)
        logprob, entropy, margin = (torch.empty(rows, dtype=torch.float32, device=logits.device) for _ in range(3))
        triton_rows.scores_part[(rows, parts)](
            logits, part, logits.stride(0), width, parts, BLOCK=SCORES_BLOCK, num_warps=8
        )
        triton_rows.scores_join[(rows,)](part, token, logprob, entropy, margin, parts, BLOCK=_power(parts), num_warps=1)
        return Scores(token, logprob, entropy, margin)

    def rotate_prompt(self, heads: Tensor, turn: tuple[Tensor, Tensor]) -> Tensor:
        """See `Kernels`; changes `heads` where they are, which may be a part of wider rows."""
        prompts, tokens, count, dim = heads.shape
        triton_rows.rotate_inplace[(prompts * tokens, count)](
            heads, turn[0], turn[1], heads.stride(1), tokens, HALF=dim // 2, num_warps=1
        )
        return heads

    def layer_norm(self, x: Tensor, module: nn.LayerNorm) -> Tensor:
        """See `Kernels`."""
        out = torch.empty_like(x)
        triton_rows.layer_norm[(x.shape[0],)](
            x, x, module.weight, module.weight, module.bias, out, out, module.eps, x.shape[1],
            ADD=False, BLOCK=_power(x.shape[1]),
        )  # fmt: skip
        return out

    def add_layer_norm(self, x: Tensor, update: Tensor, scale: Tensor, module: nn.LayerNorm) -> tuple[Tensor, Tensor]:
        """See `Kernels`."""
        out, total = torch.empty_like(x), torch.empty_like(x)
        triton_rows.layer_norm[(x.shape[0],)](
            x, update, scale, module.weight, module.bias, out, total, module.eps, x.shape[1],
            ADD=True, BLOCK=_power(x.shape[1]),
        )  # fmt: skip
        return out, total


def chunk_length(pairs: int, longest: int) -> int:
    """Return how many positions a program of attention reads: fewer when there are few pairs of row and key head."""
    wanted = max(1, pairs * longest // PROGRAMS)
    return int(min(1024, max(64, 2 ** (wanted.bit_length() - 1))))


def is_silu(activation: Any) -> bool:
    """Return whether a module is x * sigmoid(x)."""
    return isinstance(activation, nn.SiLU) or type(activation).__name__ == "SiLUActivation"


def _power(number: int) -> int:
    return int(triton.next_power_of_2(number))


def _epsilon(module: Any) -> float:
    return float(module.variance_epsilon)
