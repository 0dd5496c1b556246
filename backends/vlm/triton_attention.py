"""Triton kernels of attention over slots of own lengths, of one token or of a tail. Know pointers and strides only.

A row's keys are read in chunks by programs of their own (flash decoding, arXiv 2311.01282), and only as far as they are
filled; the query heads that share a key head go through the matrix units together, so that keys are read once.
"""
# ruff: noqa: N803 - constants of a kernel are written so
# mypy: disable-error-code="no-untyped-def, misc, untyped-decorator, unused-ignore"

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit(do_not_specialize=["chunks", "chunk_tokens"])
def attend_chunk(
    query, keys, values, lengths, part, weights, scale, cache_row, cache_head, chunks, chunk_tokens,
    HEADS: tl.constexpr, SHARED: tl.constexpr, DIM: tl.constexpr, LANES: tl.constexpr,
    BLOCK: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Attention over one chunk of a row's positions, for the SHARED query heads of one key head.

    Writes the chunk's own result to `part` (rows, HEADS, chunks, DIM) and log2 of its weight to `weights` (rows, HEADS,
    chunks), both float32.
    """
    row = tl.program_id(0).to(tl.int64)
    kv_head = tl.program_id(1)
    chunk = tl.program_id(2)
    filled = tl.load(lengths + row).to(tl.int32)
    start = chunk * chunk_tokens
    if start < filled:
        end = tl.minimum(start + chunk_tokens, filled)
        lane = tl.arange(0, LANES)
        at = tl.arange(0, DIM)
        used = lane < SHARED
        head = row * HEADS + kv_head * SHARED + lane
        q = tl.load(query + head[:, None] * DIM + at[None, :], mask=used[:, None], other=0.0)
        base = row * cache_row + kv_head * cache_head
        top = tl.full([LANES], float("-inf"), tl.float32)
        whole = tl.zeros([LANES], tl.float32)
        mixed = tl.zeros([LANES, DIM], tl.float32)
        for first in range(start, end, BLOCK):
            position = first + tl.arange(0, BLOCK)
            inside = position < end
            k = tl.load(keys + base + position[None, :] * DIM + at[:, None], mask=inside[None, :], other=0.0)
            fit = tl.dot(q, k, input_precision=PRECISION) * scale
            fit = tl.where(inside[None, :], fit, float("-inf"))
            higher = tl.maximum(top, tl.max(fit, 1))
            share = tl.exp2(fit - higher[:, None])
            fade = tl.exp2(top - higher)
            v = tl.load(values + base + position[:, None] * DIM + at[None, :], mask=inside[:, None], other=0.0)
            mixed = mixed * fade[:, None] + tl.dot(share.to(v.dtype), v, input_precision=PRECISION)
            whole = whole * fade + tl.sum(share, 1)
            top = higher
        place = head * chunks + chunk
        tl.store(part + place[:, None] * DIM + at[None, :], mixed / whole[:, None], mask=used[:, None])
        tl.store(weights + place, top + tl.log2(whole), mask=used)


@triton.jit(do_not_specialize=["chunks", "chunk_tokens"])
def attend_join(
    part, weights, lengths, out, chunks, chunk_tokens, HEADS: tl.constexpr, DIM: tl.constexpr, MOST: tl.constexpr
):
    """Weigh the chunks of one head of one row."""
    row = tl.program_id(0).to(tl.int64)
    head = row * HEADS + tl.program_id(1)
    filled = tl.load(lengths + row).to(tl.int32)
    chunk = tl.arange(0, MOST)
    at = tl.arange(0, DIM)
    used = chunk * chunk_tokens < filled
    weight = tl.load(weights + head * chunks + chunk, mask=used, other=float("-inf"))
    share = tl.exp2(weight - tl.max(weight, 0))
    place = (head * chunks + chunk)[:, None] * DIM + at[None, :]
    mixed = tl.load(part + place, mask=used[:, None], other=0.0)
    result = tl.sum(mixed * share[:, None], 0) / tl.sum(share, 0)
    tl.store(out + head * DIM + at, result.to(out.dtype.element_ty))


@triton.jit(do_not_specialize=["tokens"])
def attend_tail(
    query, keys, values, rows, visible, out, scale, cache_row, cache_head, tokens,
    HEADS: tl.constexpr, SHARED: tl.constexpr, DIM: tl.constexpr, LANES: tl.constexpr,
    BLOCK: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Attention of LANES tokens of one tail, for one head, over the positions of its slot that each of them sees.

    Keys are read up to what the last of these tokens sees. Every token sees position 0, so that no sum is empty.
    """
    first_token = tl.program_id(0) * LANES
    head = tl.program_id(1)
    row = tl.program_id(2).to(tl.int64)
    lane = first_token + tl.arange(0, LANES)
    at = tl.arange(0, DIM)
    used = lane < tokens
    token = row * tokens + lane
    seen = tl.load(visible + token, mask=used, other=1).to(tl.int32)
    place = (token * HEADS + head)[:, None] * DIM + at[None, :]
    q = tl.load(query + place, mask=used[:, None], other=0.0)
    base = tl.load(rows + row) * cache_row + (head // SHARED) * cache_head
    end = tl.max(seen, 0)
    top = tl.full([LANES], float("-inf"), tl.float32)
    whole = tl.zeros([LANES], tl.float32)
    mixed = tl.zeros([LANES, DIM], tl.float32)
    for first in range(0, end, BLOCK):
        position = first + tl.arange(0, BLOCK)
        inside = position < end
        k = tl.load(keys + base + position[None, :] * DIM + at[:, None], mask=inside[None, :], other=0.0)
        fit = tl.dot(q, k, input_precision=PRECISION) * scale
        fit = tl.where(position[None, :] < seen[:, None], fit, float("-inf"))
        higher = tl.maximum(top, tl.max(fit, 1))
        share = tl.exp2(fit - higher[:, None])
        fade = tl.exp2(top - higher)
        v = tl.load(values + base + position[:, None] * DIM + at[None, :], mask=inside[:, None], other=0.0)
        mixed = mixed * fade[:, None] + tl.dot(share.to(v.dtype), v, input_precision=PRECISION)
        whole = whole * fade + tl.sum(share, 1)
        top = higher
    tl.store(out + place, (mixed / whole[:, None]).to(out.dtype.element_ty), mask=used[:, None])
