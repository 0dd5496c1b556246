"""The fused kernels against the reference; without a GPU they run in Triton's interpreter where that is chosen."""

import os

import pytest

torch = pytest.importorskip("torch", reason="the extra 'vlm' is not installed")
pytest.importorskip("triton", reason="Triton is not installed")

from torch import nn  # noqa: E402

from backends.vlm.kernels import HeadStates, TorchKernels  # noqa: E402

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
pytestmark = pytest.mark.skipif(
    DEVICE == "cpu" and not INTERPRETED, reason="no CUDA device, and TRITON_INTERPRET=1 is not set"
)


class RmsNorm(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.weight = nn.Parameter(torch.rand(width) + 0.5)
        self.variance_epsilon = 1e-6

    def forward(self, x):
        y = x.float()
        y = y * torch.rsqrt(y.pow(2).mean(-1, keepdim=True) + self.variance_epsilon)
        return self.weight * y.to(x.dtype)


@pytest.fixture(autouse=True)
def _quiet():
    torch.manual_seed(0)
    with torch.inference_mode():
        yield


@pytest.fixture
def both():
    from backends.vlm.triton_kernels import TritonKernels

    return TorchKernels(), TritonKernels()


def noise(*size):
    return torch.randn(*size, device=DEVICE)


def close(got, wanted):
    torch.testing.assert_close(got, wanted, atol=2e-5, rtol=2e-5)


@pytest.mark.parametrize("width", [64, 1536, 300])
def test_norms_are_equal(both, width):
    reference, fused = both
    module = RmsNorm(width).to(DEVICE)
    x, update = noise(5, width), noise(5, width)
    close(fused.norm(x, module), reference.norm(x, module))
    for got, wanted in zip(fused.add_norm(x, update, module), reference.add_norm(x, update, module), strict=True):
        close(got, wanted)


@pytest.mark.parametrize(("heads", "kv_heads", "dim"), [(4, 2, 16), (12, 2, 128), (32, 8, 128)])
def test_rotation_and_cache_writes_are_equal(both, heads, kv_heads, dim):
    rows, slots, length = 3, 5, 20
    merged = noise(rows, (heads + 2 * kv_heads) * dim)
    query, key, value = (
        part.unflatten(-1, (-1, dim)) for part in merged.split([heads * dim, kv_heads * dim, kv_heads * dim], dim=-1)
    )
    angle = noise(rows, dim // 2).repeat(1, 2)
    positions = torch.tensor([3, 0, 19], device=DEVICE)
    results = []
    for kernels in both:
        keys, values = torch.zeros(2, slots, kv_heads, length, dim, device=DEVICE)
        turned = kernels.rotate_and_write(
            HeadStates(query, key, value), (angle.cos(), angle.sin()), keys, values, positions
        )
        results.append((turned, keys, values))
    for got, wanted in zip(*reversed(results), strict=True):
        close(got, wanted)


@pytest.mark.parametrize(("heads", "kv_heads", "dim"), [(4, 2, 16), (12, 2, 64), (8, 2, 128)])
def test_attention_over_own_lengths_is_equal_and_reads_nothing_beyond(both, heads, kv_heads, dim):
    reference, fused = both
    rows, slots, length = 4, 6, 300
    query, keys, values = (
        noise(rows, heads, dim),
        noise(slots, kv_heads, length, dim),
        noise(slots, kv_heads, length, dim),
    )
    lengths = torch.tensor([1, 64, 65, 300], device=DEVICE)
    wanted = reference.attend(query, keys, values, lengths, dim**-0.5, length)
    for row, filled in enumerate(lengths.tolist()):
        keys[row, :, filled:] = float("nan")
        values[row, :, filled:] = float("nan")
    close(fused.attend(query, keys, values, lengths, dim**-0.5, length), wanted)


@pytest.mark.parametrize("heads", [(4, 2, 16), (8, 2, 128)])
def test_rows_are_written_to_the_slots_that_are_named(both, heads):
    count, kv_heads, dim = heads
    query, key, value = noise(4, count, dim), noise(4, kv_heads, dim), noise(4, kv_heads, dim)
    angle = noise(4, dim // 2).repeat(1, 2)
    positions, slots = torch.tensor([[3, 4, 0, 9], [2, 2, 0, 2]], device=DEVICE)
    results = []
    for kernels in both:
        keys, values = torch.zeros(2, 3, kv_heads, 10, dim, device=DEVICE)
        turn = (angle.cos(), angle.sin())
        turned = kernels.rotate_and_write(HeadStates(query, key, value), turn, keys, values, positions, slots)
        assert values[slots, :, positions].equal(value)
        results.append((turned, keys, values))
    for got, wanted in zip(*reversed(results), strict=True):
        close(got, wanted)


@pytest.mark.parametrize(("heads", "kv_heads", "dim"), [(4, 2, 16), (12, 2, 64), (4, 1, 128)])
def test_tails_see_what_is_before_them_in_their_own_slot_and_nothing_beyond(both, heads, kv_heads, dim):
    reference, fused = both
    slots, length, tokens = 4, 200, 70
    query = noise(3, tokens, heads, dim)
    keys, values = noise(slots, kv_heads, length, dim), noise(slots, kv_heads, length, dim)
    rows, starts = torch.tensor([[3, 0, 2], [0, 63, 130]], device=DEVICE)
    visible = starts[:, None] + torch.arange(1, tokens + 1, device=DEVICE)
    visible[1, 9:] = 1  # padding
    wanted = reference.attend_tails(query, keys, values, rows, visible, dim**-0.5, length)
    for row, seen in zip(rows.tolist(), visible, strict=True):
        keys[row, :, int(seen.max()) :] = float("nan")
        values[row, :, int(seen.max()) :] = float("nan")
    keys[1] = values[1] = float("nan")
    close(fused.attend_tails(query, keys, values, rows, visible, dim**-0.5, length), wanted)


def test_gates_are_equal(both):
    reference, fused = both
    gate, up = noise(3, 2 * 1500).split([1500, 1500], dim=-1)
    close(fused.gate(gate, up, nn.SiLU()), reference.gate(gate, up, nn.SiLU()))


def test_scores_are_equal_over_several_blocks(both):
    reference, fused = both
    logits = noise(4, 20_001) * 3
    logits[1, 7], logits[2, 20_000], logits[3, 8192] = 30.0, 30.0, 30.0
    got, wanted = fused.scores(logits), reference.scores(logits)
    assert got.token.tolist() == wanted.token.tolist()
    for name in ("logprob", "entropy", "margin"):
        close(getattr(got, name), getattr(wanted, name))
