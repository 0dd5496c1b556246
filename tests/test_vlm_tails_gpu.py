"""What only a GPU can show of dialogues: fused kernels, captured steps beside tails, and nothing that waits."""

import pytest

torch = pytest.importorskip("torch", reason="the extra 'vlm' is not installed")

from vlm_dialogue_world import SETTINGS, alone, models, pages, questions, real_family, scripted  # noqa: E402

from backends.vlm.decoder import SlotDecoder, best_kernels  # noqa: E402
from backends.vlm.sampling import GREEDY  # noqa: E402
from backends.vlm.slots import NewAnswer  # noqa: E402
from benchmarks.checkpoints.internvl import make_internvl  # noqa: E402
from benchmarks.checkpoints.llama_vision import make_llama_vision  # noqa: E402

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
UNDECIDED = 0.02
"""Two tokens whose log-probabilities are closer than this may change places in other arithmetic."""


# made here too, so that this file runs with --noconftest on a machine that has no broker
@pytest.fixture(scope="module", params=[make_internvl, make_llama_vision], ids=["internvl", "mllama"])
def family(request, tmp_path_factory):
    return real_family(request.param(tmp_path_factory.mktemp("checkpoint")), DEVICE)


def assert_alike(model, heard):
    """Every answer is what the question gets alone, as far as the model is decided."""
    compared = 0
    for request, answer in heard:
        wanted = alone(model, request)
        for place, margin in enumerate(wanted.token_margins):
            if margin < UNDECIDED:
                break
            assert answer.tokens[place] == wanted.tokens[place]
            assert answer.token_logprobs[place] == pytest.approx(wanted.token_logprobs[place], abs=5e-3)
            compared += 1
    assert compared > len(heard)


def test_questions_beside_captured_steps_are_answered_as_if_they_were_asked_alone(family):
    heard = []
    with models(family) as make:
        model = make(slots=4)
        model.converse([scripted(questions(seed, 1 + seed % 4, pages(seed)), heard) for seed in range(12)])
        assert model.engine.stats.captured or DEVICE == "cpu"
        assert_alike(model, heard)


def test_a_prefill_of_tails_never_waits_for_the_device(family):
    with models(family) as make:
        make().converse([scripted(questions(1, 2, pages(1)), [])])  # what is made once may wait
    tails = [family.tail(request) for request in questions(5, 2, pages(5))]
    with torch.inference_mode():
        decoder = SlotDecoder(family, SETTINGS, 3, best_kernels(family.device))
        decoder.prefill_tails([2, 0], tails, [40, 7], [NewAnswer(60, 5, GREEDY)] * 2).wait()
        torch.cuda.set_sync_debug_mode("error")
        try:
            decoder.prefill_tails([2, 0], tails, [40, 7], [NewAnswer(60, 5, GREEDY)] * 2)
        finally:
            torch.cuda.set_sync_debug_mode("default")
