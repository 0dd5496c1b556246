"""Weights that stay with the host: the same answers, whatever is left behind."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra 'vlm' is not installed")

from test_vlm_loading import LOADERS, load  # noqa: E402

from backends.base import GenerationRequest  # noqa: E402
from backends.vlm.engine import Engine  # noqa: E402
from backends.vlm.engine_settings import EngineSettings  # noqa: E402
from backends.vlm.offload import HostLinear, offload  # noqa: E402
from router.errors import BackendUnavailableError  # noqa: E402

CPU = torch.device("cpu")
SETTINGS = EngineSettings(
    slots=2, slot_tokens=256, answer_tokens=16, fused=False, capture=False, on_death=lambda cause: None
)


@pytest.fixture(params=LOADERS)
def loaded(request, tiny_internvl, tiny_llama_vision):
    return load(request.param, {"internvl": tiny_internvl, "mllama": tiny_llama_vision}[request.param])


def answers(family):
    rng = np.random.default_rng(0)
    pages = [rng.integers(0, 256, (60, 90, 3), dtype=np.uint8) for _ in range(3)]
    with Engine(family, SETTINGS).start() as engine:
        waiting = [engine.submit(family.prepare(GenerationRequest("total", (page,), 12)), 12) for page in pages]
        return [future.result().tokens for future in waiting]


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_a_model_of_which_a_part_stays_with_the_host_gives_the_same_answers(loaded, share):
    model = loaded.family.model
    expected = answers(loaded.family)
    held = sum(weight.nbytes for weight in model.parameters())
    layers = [m for m in model.model.language_model.layers.modules() if isinstance(m, torch.nn.Linear)]
    moved = sum(layer.weight.nbytes for layer in layers)
    behind = offload(model, CPU, held - moved + int(moved * share))
    assert behind == sum(isinstance(module, HostLinear) for module in model.modules())
    assert (behind == 0) == (share == 1.0)
    assert (behind == len(layers)) == (share == 0.0)
    assert answers(loaded.family) == expected


def test_a_device_without_room_for_the_rest_is_told(loaded):
    with pytest.raises(BackendUnavailableError, match="too little"):
        offload(loaded.family.model, CPU, 1000)


def test_what_stays_with_the_host_does_not_move_with_the_model(loaded):
    model = loaded.family.model
    layers = [m for m in model.model.language_model.layers.modules() if isinstance(m, torch.nn.Linear)]
    rest = sum(weight.nbytes for weight in model.parameters()) - sum(layer.weight.nbytes for layer in layers)
    assert offload(model, CPU, rest) == len(layers)
    host = [module for module in loaded.family.model.modules() if isinstance(module, HostLinear)]
    loaded.family.model.to("meta")
    assert all(module.weight.device.type == "cpu" for module in host)
