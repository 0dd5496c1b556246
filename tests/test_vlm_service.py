"""The vision-language lanes as worker processes of the service: a real server, real workers, tiny checkpoints."""

import json
import urllib.request
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="the extra 'vlm' is not installed")

from prometheus_client.parser import text_string_to_metric_families
from valkey_server import free_port
from worker_processes import ServiceProcesses, wait_for

from backends.vlm.checkpoint import identify
from benchmarks.checkpoints import variants
from workers.doctor import examine
from workers.presence import present_workers

pytestmark = pytest.mark.redis

SAMPLES = Path(__file__).parents[1] / "samples"
PAGES = ("receipt-clean.png", "invoice-scan-two-pages.tiff", "invoice-digital.pdf", "receipt-faded.jpg")
SMALL = {"device": "cpu", "slots": 2, "slot_tokens": 2400, "answer_tokens": 40, "second_reading": "never"}
SLOTS, CALLERS = 2, 4
DYING = """
from backends.vlm.rounds import Rounds
def die(self):
    raise RuntimeError("CUDA error: an illegal memory access was encountered")
Rounds.round = die
from workers.cli import main
main()
"""


def toml(options):
    return "{" + ", ".join(f"{name} = {json.dumps(value)}" for name, value in options.items()) + "}"


@pytest.fixture
def vlm_service(service, tiny_internvl, tiny_llama_vision) -> ServiceProcesses:
    return service(
        DOCROUTE_LANES__FAST="internvl3",
        DOCROUTE_LANES__DEEP="llama-vision",
        DOCROUTE_LANES__OPTIONS__INTERNVL3=toml(SMALL | {"checkpoint": str(tiny_internvl), "max_tiles": 4}),
        DOCROUTE_LANES__OPTIONS__LLAMA_VISION=toml(SMALL | {"checkpoint": str(tiny_llama_vision)}),
        OMP_NUM_THREADS="1",
    )


def submit_pages(service, tier="auto"):
    for name in PAGES:
        service.submit((SAMPLES / name).read_bytes(), Path(name).stem, uri=name, schema_name="invoice", tier=tier)
    return [Path(name).stem for name in PAGES]


def samples_of(port):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        families = text_string_to_metric_families(answer.read().decode())
    return {sample.name: sample for family in families for sample in family.samples}


def assert_seen(service, port, model):
    """Metrics, the worker's record and the doctor say which model reads."""
    found = samples_of(port)
    assert found["docroute_model_info"].labels["weights"] == model.rpartition(" ")[2]
    assert found["docroute_model_slots"].value == SLOTS
    assert found["docroute_model_slots_busy"].value == 0
    assert found["docroute_model_tokens_total"].value > 0
    assert found["docroute_batch_size_count"].value > 0

    def told():
        workers = present_workers(service.settings.service.broker)
        (worker,) = [one for one in workers if one.stage == "fast"]
        return (worker.model, worker.device, worker.concurrency, worker.problem) == (model, "cpu", CALLERS, "")

    wait_for(told, "the worker says what it is")
    assert any(model in check.detail for check in examine(service.settings) if check.name == "fast workers")


def test_sample_pages_go_through_both_models_to_results_that_say_who_read_them(
    vlm_service, tiny_internvl, tiny_llama_vision
):
    s, port = vlm_service, free_port()
    fast, deep = (
        f"{folder.name} fp32 {identify(str(folder), None, folder).weights_hash}"
        for folder in (tiny_internvl, tiny_llama_vision)
    )
    workers = s.start("intake", "deep") + s.start("fast", DOCROUTE_SERVICE__MONITORING__PORT=str(port))
    names = submit_pages(s)
    s.wait_until_ended(len(names))
    for name in names:
        # random weights say nothing that can be read: no field is made up, a person looks
        assert s.job(name).state == "needs_review", s.job(name)
        result = s.blobs.get_json(s.job(name).result_blob or "")
        for field in result["fields"].values():
            assert field["value"] is None
            read_by = {(c["source"]["tier"], c["source"]["backend"], c["source"]["model"]) for c in field["candidates"]}
            assert read_by == {("fast", "internvl3", fast), ("deep", "llama-vision", deep)}
    assert_seen(s, port, fast)
    s.assert_sound(len(names))
    assert s.terminate(*workers) == [0, 0, 0]


def test_a_worker_whose_engine_dies_ends_and_its_jobs_are_done_by_another(vlm_service):
    s = vlm_service
    s.start("intake")
    (dying,) = s.start("fast", program=("-c", DYING))
    names = submit_pages(s, "fast")
    assert dying.wait(60) == 70, s.log.read_text()
    assert "the engine died: RuntimeError: CUDA error" in s.log.read_text()
    assert s.ended() == 0
    s.start("fast")
    s.wait_until_ended(len(names))
    assert {s.job(name).state for name in names} == {"needs_review"}
    assert any("expired" in s.kinds(name) for name in names)
    s.assert_sound(len(names))


def test_a_model_of_one_process_is_refused_a_pool_of_processes(vlm_service):
    (worker,) = vlm_service.start("fast", options=("--pool", "prefork"))
    wait_for(lambda: worker.poll() is not None, "the worker ended")
    assert worker.returncode == 2
    assert "--pool prefork: the model of internvl3 belongs to one process" in vlm_service.log.read_text()


@pytest.fixture
def unfit(tmp_path, tiny_internvl, tiny_llama_vision):
    """Options that no worker can read with, by what is wrong."""
    half, other = (variants.copy_of(tiny_internvl, tmp_path / name) for name in ("half", "other"))
    variants.cut_off(half / "model.safetensors", 0.99)
    variants.change(other / "processor_config.json", processor_class="MllamaProcessor")
    variants.replace(other / "preprocessor_config.json", (tiny_llama_vision / "preprocessor_config.json").read_bytes())
    return {
        "missing": {"checkpoint": "/no/such/folder"},
        "half": {"checkpoint": str(half)},
        "architecture": {"checkpoint": str(tiny_llama_vision)},
        "processor": {"checkpoint": str(other)},
    }


@pytest.mark.parametrize(
    ("case", "said"),
    [
        ("missing", "there is no checkpoint folder /no/such/folder"),
        ("half", "model.safetensors"),
        ("architecture", "'mllama', not 'internvl'"),
        ("processor", "it is a MllamaProcessor, not InternVLProcessor"),
    ],
)
def test_a_worker_that_cannot_have_its_model_ends_and_takes_no_job(vlm_service, unfit, case, said):
    s = vlm_service
    s.submit((SAMPLES / PAGES[0]).read_bytes(), "waits", uri="waits.png", schema_name="invoice")
    s.send("waits", "fast")
    (worker,) = s.start("fast", DOCROUTE_LANES__OPTIONS__INTERNVL3=toml(SMALL | unfit[case]))
    wait_for(lambda: worker.poll() is not None, "the worker ended")
    assert worker.returncode == 2, s.log.read_text()
    last = s.log.read_text().strip().splitlines()[-1]
    assert last.startswith("docroute: ")
    assert said in last
    assert "started" not in s.kinds("waits")
    assert present_workers(s.settings.service.broker) == []
