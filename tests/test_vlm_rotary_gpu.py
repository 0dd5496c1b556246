"""Steps with every rotary type are captured on a GPU, and a capture that fails leaves it usable."""

import pytest

torch = pytest.importorskip("torch", reason="the extra 'vlm' is not installed")

from test_vlm_rotary import asked  # noqa: E402
from vlm_rotary_world import KNOWN, family_of  # noqa: E402

from backends.vlm.engine import Engine  # noqa: E402
from backends.vlm.engine_settings import EngineSettings  # noqa: E402
from benchmarks.checkpoints.internvl import make_internvl  # noqa: E402
from benchmarks.checkpoints.llama_vision import make_llama_vision  # noqa: E402
from router.errors import BackendError  # noqa: E402

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
SETTINGS = {"slots": 3, "slot_tokens": 512, "answer_tokens": 64, "patience_s": 0.0, "on_death": lambda cause: None}


# made here too, so that this file runs with --noconftest on a machine that has no broker
@pytest.fixture(scope="module", params=[make_internvl, make_llama_vision], ids=["internvl", "mllama"])
def folder(request, tmp_path_factory):
    return request.param(tmp_path_factory.mktemp("checkpoint"))


def read(folder, rope, **changes):
    """Return answers of an engine on the GPU, and what it counted."""
    family = family_of(folder, rope, device="cuda")
    items = asked(family)
    with Engine(family, EngineSettings(**SETTINGS, **changes)).start(items[0]) as engine:
        return [engine.submit(item, 12).result(60).tokens for item in items], engine.stats


def usable():
    """Allocate, free and capture, as any later work of the process may."""
    held = torch.arange(1024.0 * 1024, device="cuda")
    stream, graph = torch.cuda.Stream(), torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, stream=stream):
        doubled = held * 2
    graph.replay()
    torch.cuda.synchronize()
    same = torch.equal(doubled, held * 2)
    del held, doubled, graph
    torch.cuda.empty_cache()
    return same


@pytest.mark.parametrize("rope", KNOWN)
def test_a_step_is_captured_and_reads_as_uncaptured(folder, rope):
    captured, stats = read(folder, rope)
    assert stats.captured > 0
    plain, uncaptured = read(folder, rope, capture=False)
    assert uncaptured.captured == 0
    assert captured == plain


def test_transformers_own_dynamic_positions_cannot_be_captured_and_the_device_stays_usable(folder, monkeypatch):
    wanted, _ = read(folder, "dynamic")
    with monkeypatch.context() as patched:
        patched.setattr("backends.vlm.engine.fix_rotary", lambda text_model, slot_tokens: None)
        with pytest.raises(BackendError, match=r"cannot be captured as a CUDA graph.*uncaptured = true"):
            read(folder, "dynamic")
        assert usable()
        slowly, stats = read(folder, "dynamic", uncaptured=True)
        assert (stats.captured, stats.capture_failures) == (0, 1)
        assert usable()
    assert slowly == wanted
    again, stats = read(folder, "dynamic")
    assert stats.captured > 0
    assert again == wanted
