"""The lane of a served model against a real server: `transformers serve` with a tiny checkpoint, on loopback."""

import os
import subprocess
import sys
import time
from pathlib import Path

import httpx
import numpy as np
import pytest
from bad_inputs import encode, picture
from test_model_lane import read
from valkey_server import free_port

from backends.base import GenerationRequest
from backends.openai_http import create
from router.errors import BackendError

for package in ("torch", "transformers", "fastapi", "uvicorn", "openai"):
    pytest.importorskip(package, reason="the server of transformers is not installed")

STARTED_WITHIN_S = 180


@pytest.fixture(scope="module")
def url(tiny_internvl, tmp_path_factory):
    """The address of a running server."""
    port = free_port()
    command = [str(Path(sys.executable).parent / "transformers"), "serve", str(tiny_internvl), "--device", "cpu"]
    command += ["--dtype", "float32", "--host", "127.0.0.1", "--port", str(port)]
    log = tmp_path_factory.mktemp("server") / "log"
    offline = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    with log.open("w") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, env=offline)
    try:
        ends = time.monotonic() + STARTED_WITHIN_S
        while not _healthy(port):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < ends, log.read_text()
            time.sleep(0.2)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.terminate()
        process.wait(20)


def _healthy(port):
    try:
        return httpx.get(f"http://127.0.0.1:{port}/health").status_code == 200
    except httpx.TransportError:
        return False


def test_a_served_checkpoint_answers_as_it_does_here(url, tiny_internvl):
    page = np.asarray(picture(120, 90).convert("RGB"))
    request = GenerationRequest("total_amount (amount): the total", (page,), 12)
    model = create(url=url, model=str(tiny_internvl), jpeg_quality=None).model
    first, second = model.generate_batch([request, request])
    assert first == second
    assert first.finish_reason == "length"
    assert first.prompt_tokens > 20
    assert first.text == _generated(tiny_internvl, request)


def test_a_served_checkpoint_is_a_lane(url, tiny_internvl):
    lane = create(url=url, model=str(tiny_internvl))
    extraction = read(lane, encode(picture(), "PNG"))
    assert len(extraction.fields) == 3
    assert all(value.provenance.backend == "openai-http" for value in extraction.fields.values())


def test_a_model_that_is_not_served_is_told(url):
    with pytest.raises(BackendError):
        create(url=url + "/nothing", model="m", attempts=1).model.generate_batch([GenerationRequest("x", (), 4)])


def _generated(folder, request):
    import torch
    import transformers

    model = transformers.AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32).eval()
    processor = transformers.AutoProcessor.from_pretrained(folder)
    parts = [{"type": "image", "image": request.images[0].copy()}, {"type": "text", "text": request.prompt}]
    inputs = processor.apply_chat_template(
        [{"role": "user", "content": parts}],
        add_generation_prompt=True,
        tokenize=True,
        return_dict=True,
        return_tensors="pt",
    )
    with torch.inference_mode():
        output = model.generate(**inputs, max_new_tokens=request.max_tokens, do_sample=False)
    return processor.decode(output[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
