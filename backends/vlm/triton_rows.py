"""Triton kernels over rows: norms, rotation, gates, scores. Know pointers and widths only.

Arithmetic is in float32 and rounded where the modules of transformers round, so that results stay close to theirs.
"""
# ruff: noqa: N803 - constants of a kernel are written so
# mypy: disable-error-code="no-untyped-def, misc, untyped-decorator, unused-ignore"

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def rms_norm(x, update, weight, out, total, x_stride, eps, width, ADD: tl.constexpr, BLOCK: tl.constexpr):
    """One row of RMS norm; with ADD of x + update, which is written to `total` too."""
    row = tl.program_id(0).to(tl.int64)
    at = tl.arange(0, BLOCK)
    inside = at < width
    value = tl.load(x + row * x_stride + at, mask=inside, other=0.0).to(tl.float32)
    if ADD:
        added = value + tl.load(update + row * width + at, mask=inside, other=0.0).to(tl.float32)
        tl.store(total + row * width + at, added.to(total.dtype.element_ty), mask=inside)
        value = added.to(total.dtype.element_ty).to(tl.float32)
    spread = tl.rsqrt(tl.sum(value * value, 0) / width + eps)
    normed = (value * spread).to(out.dtype.element_ty).to(tl.float32)
    scale = tl.load(weight + at, mask=inside, other=0.0).to(tl.float32)
    tl.store(out + row * width + at, (normed * scale).to(out.dtype.element_ty), mask=inside)


@triton.jit
def layer_norm(x, update, gain, weight, bias, out, total, eps, width, ADD: tl.constexpr, BLOCK: tl.constexpr):
    """One row of layer norm; with ADD of x + gain * update, which is written to `total` too."""
    row = tl.program_id(0).to(tl.int64)
    at = tl.arange(0, BLOCK)
    inside = at < width
    value = tl.load(x + row * width + at, mask=inside, other=0.0).to(tl.float32)
    if ADD:
        more = tl.load(update + row * width + at, mask=inside, other=0.0).to(tl.float32)
        more = (more * tl.load(gain + at, mask=inside, other=0.0).to(tl.float32)).to(total.dtype.element_ty)
        rounded = (value + more.to(tl.float32)).to(total.dtype.element_ty)
        tl.store(total + row * width + at, rounded, mask=inside)
        value = rounded.to(tl.float32)
    mean = tl.sum(value, 0) / width
    centred = tl.where(inside, value - mean, 0.0)
    spread = tl.rsqrt(tl.sum(centred * centred, 0) / width + eps)
    scale = tl.load(weight + at, mask=inside, other=0.0).to(tl.float32)
    shift = tl.load(bias + at, mask=inside, other=0.0).to(tl.float32)
    tl.store(out + row * width + at, (centred * spread * scale + shift).to(out.dtype.element_ty), mask=inside)


@triton.jit
def rotate_write(
    query, key, value, cos, sin, positions, slots, keys, values, out,
    query_stride, key_stride, value_stride, cache_row, cache_head,
    HEADS: tl.constexpr, KV_HEADS: tl.constexpr, HALF: tl.constexpr, CHOSEN: tl.constexpr,
):  # fmt: skip
    """One head of one row: rotate a query into `out`, or a key into its cache position, or copy a value there.

    The row's slot is its own number, or with CHOSEN what `slots` says.
    """
    row = tl.program_id(0).to(tl.int64)
    head = tl.program_id(1)
    at = tl.arange(0, HALF)
    c1 = tl.load(cos + row * 2 * HALF + at).to(tl.float32)
    c2 = tl.load(cos + row * 2 * HALF + HALF + at).to(tl.float32)
    s1 = tl.load(sin + row * 2 * HALF + at).to(tl.float32)
    s2 = tl.load(sin + row * 2 * HALF + HALF + at).to(tl.float32)
    if head < HEADS:
        source = query + row * query_stride + head * 2 * HALF
        target = out + (row * HEADS + head) * 2 * HALF
        x1 = tl.load(source + at).to(tl.float32)
        x2 = tl.load(source + HALF + at).to(tl.float32)
        tl.store(target + at, (x1 * c1 - x2 * s1).to(out.dtype.element_ty))
        tl.store(target + HALF + at, (x2 * c2 + x1 * s2).to(out.dtype.element_ty))
    else:
        shared = (head - HEADS) % KV_HEADS
        slot = tl.load(slots + row) if CHOSEN else row
        place = slot * cache_row + shared * cache_head + tl.load(positions + row) * 2 * HALF
        if head < HEADS + KV_HEADS:
            source = key + row * key_stride + shared * 2 * HALF
            x1 = tl.load(source + at).to(tl.float32)
            x2 = tl.load(source + HALF + at).to(tl.float32)
            tl.store(keys + place + at, (x1 * c1 - x2 * s1).to(keys.dtype.element_ty))
            tl.store(keys + place + HALF + at, (x2 * c2 + x1 * s2).to(keys.dtype.element_ty))
        else:
            source = value + row * value_stride + shared * 2 * HALF
            tl.store(values + place + at, tl.load(source + at))
            tl.store(values + place + HALF + at, tl.load(source + HALF + at))


@triton.jit(do_not_specialize=["tokens"])
def rotate_inplace(heads, cos, sin, stride, tokens, HALF: tl.constexpr):
    """One head of one token of a prompt, rotated where it is; cos and sin are (tokens, 2 HALF), shared by all rows."""
    token = tl.program_id(0).to(tl.int64)
    at = tl.arange(0, HALF)
    angle = (token % tokens) * 2 * HALF
    place = heads + token * stride + tl.program_id(1) * 2 * HALF
    x1 = tl.load(place + at).to(tl.float32)
    x2 = tl.load(place + HALF + at).to(tl.float32)
    c1 = tl.load(cos + angle + at).to(tl.float32)
    c2 = tl.load(cos + angle + HALF + at).to(tl.float32)
    s1 = tl.load(sin + angle + at).to(tl.float32)
    s2 = tl.load(sin + angle + HALF + at).to(tl.float32)
    tl.store(place + at, (x1 * c1 - x2 * s1).to(heads.dtype.element_ty))
    tl.store(place + HALF + at, (x2 * c2 + x1 * s2).to(heads.dtype.element_ty))


@triton.jit
def silu_gate(gate, up, out, gate_stride, up_stride, width, BLOCK: tl.constexpr):
    """silu(gate) * up."""
    row = tl.program_id(0).to(tl.int64)
    at = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = at < width
    g = tl.load(gate + row * gate_stride + at, mask=inside, other=0.0).to(tl.float32)
    u = tl.load(up + row * up_stride + at, mask=inside, other=0.0).to(tl.float32)
    active = (g / (1.0 + tl.exp(-g))).to(out.dtype.element_ty).to(tl.float32)
    tl.store(out + row * width + at, (active * u).to(out.dtype.element_ty), mask=inside)


@triton.jit
def scores_part(logits, part, stride, width, parts, BLOCK: tl.constexpr):
    """Of a block of one row's logits: maximum, its index, the second, sum of exponentials, and that weighted by logit.

    Writes five float32 a block: `part` is (rows, 5, parts). The index fits a float32 exactly below 2**24.
    """
    row = tl.program_id(0).to(tl.int64)
    block = tl.program_id(1)
    at = block * BLOCK + tl.arange(0, BLOCK)
    x = tl.load(logits + row * stride + at, mask=at < width, other=float("-inf")).to(tl.float32)
    top = tl.max(x, 0)
    token = tl.min(tl.where(x == top, at, 2147483647), 0)
    second = tl.max(tl.where(at == token, float("-inf"), x), 0)
    weight = tl.exp(x - top)
    mean = tl.sum(weight * tl.where(at < width, x, 0.0), 0)
    base = part + row * 5 * parts + block
    tl.store(base, top)
    tl.store(base + parts, token.to(tl.float32))
    tl.store(base + 2 * parts, second)
    tl.store(base + 3 * parts, tl.sum(weight, 0))
    tl.store(base + 4 * parts, mean)


@triton.jit
def scores_join(part, token, logprob, entropy, margin, parts, BLOCK: tl.constexpr):
    """Join the blocks of one row."""
    row = tl.program_id(0).to(tl.int64)
    at = tl.arange(0, BLOCK)
    inside = at < parts
    base = part + row * 5 * parts + at
    tops = tl.load(base, mask=inside, other=float("-inf"))
    tokens = tl.load(base + parts, mask=inside, other=16777216.0)
    seconds = tl.load(base + 2 * parts, mask=inside, other=float("-inf"))
    sums = tl.load(base + 3 * parts, mask=inside, other=0.0)
    means = tl.load(base + 4 * parts, mask=inside, other=0.0)
    top = tl.max(tops, 0)
    chosen = tl.min(tl.where(tops == top, tokens, 16777216.0), 0)
    second = tl.max(tl.where(tokens == chosen, seconds, tops), 0)
    share = tl.where(inside, tl.exp(tops - top), 0.0)
    whole = tl.sum(share * sums, 0)
    log_whole = tl.log(whole)
    tl.store(token + row, chosen.to(tl.int64))
    tl.store(logprob + row, -log_whole)
    mean = tl.sum(share * means, 0) / whole
    tl.store(entropy + row, tl.maximum(top + log_whole - mean, 0.0))
    tl.store(margin + row, top - second)
