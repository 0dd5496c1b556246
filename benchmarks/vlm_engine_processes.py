"""Measurements that need processes of their own: two models on one device, and the time from start to ready."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from backends.vlm.engine import Engine
from benchmarks import vlm_world as w
from benchmarks.vlm_engine_modes import Row, Rows, jpegs

STARTED = time.time()
WAIT_S = 240.0


def together(world: w.World, documents: int) -> Rows:
    """Both models on one device in two processes, nine documents of ten to the smaller one."""
    folder = Path(tempfile.mkdtemp(prefix="vlm-together-"))
    shares = {w.INTERNVL: documents - documents // 10, w.LLAMA: documents // 10}
    running = {}
    for name, share in shares.items():
        running[name] = _child(world, "together-part", folder / f"{name}.json", name, str(share), str(folder))
        _await(folder / f"{name}.ready", running[name])  # one after the other: each takes what memory it finds free
    (folder / "go").touch()
    rows = [_result(process, folder / f"{name}.json") for name, process in running.items()]
    flat = [row for part in rows for row in part]
    seconds = max(row["ended_at"] for row in flat) - min(row["started_at"] for row in flat)
    yield from flat
    yield {
        "what": f"both, {documents} documents 90/10, two processes",
        "documents": documents,
        "documents_h": round(documents / seconds * 3600),
        "reserved_gb": sum(row.get("reserved_gb", 0.0) for row in flat),
    }


def together_part(world: w.World, name: str, documents: int, folder: Path) -> Rows:
    """One of the two processes."""
    family = w.family(world, name)
    slots = 96 if name == w.INTERNVL else 16

    def go() -> None:
        (folder / f"{name}.ready").touch()
        _await(folder / "go", None)

    yield from jpegs(world, family, name, slots, documents, f"{name} beside the other", go)


def ready_internvl(world: w.World, documents: int) -> Rows:
    """From the start of a process to the first answer, weights on local disk."""
    yield from _ready(world, w.INTERNVL)


def ready_llama(world: w.World, documents: int) -> Rows:
    """The same for the larger model."""
    yield from _ready(world, w.LLAMA)


def _ready(world: w.World, name: str) -> Iterator[Row]:
    folder = Path(tempfile.mkdtemp(prefix="vlm-checkpoint-"))
    began = time.perf_counter()
    family = w.family(world, name)
    family.model.generation_config.pad_token_id = 0
    family.model.save_pretrained(folder)
    family.processor.save_pretrained(folder)
    saved_s = time.perf_counter() - began
    del family
    if world.device.type == "cuda":
        torch.cuda.empty_cache()
    out = folder / "ready.json"
    for row in _result(_child(world, "ready-part", out, name, str(folder)), out):
        yield {**row, "made_s": round(saved_s, 1)}


def ready_part(world: w.World, name: str, folder: Path) -> Rows:
    """The process whose start is measured."""
    imported_s = time.time() - float(os.environ["VLM_STARTED"])
    from backends.vlm.loading import LoadSettings, load_internvl, load_llama_vision
    from backends.vlm.tiling import TileLimits

    began = time.perf_counter()
    load = load_internvl if name == w.INTERNVL else load_llama_vision
    precision = "fp32" if world.smoke else "bf16"
    loaded = load(LoadSettings(str(folder), device=str(world.device), precision=precision, limits=TileLimits(6, 6)))
    loaded_s = time.perf_counter() - began
    sample = w.prepared(world, loaded.family, 1)[0]
    slots = 128 if name == w.INTERNVL else 64
    with Engine(loaded.family, w.settings(world, name, slots)).start(sample) as engine:
        ready_s = time.time() - float(os.environ["VLM_STARTED"])
        engine.submit(sample, 4).result()
        yield {
            "what": f"{name}: from start to ready",
            "seconds": round(ready_s, 1),
            "import_s": round(imported_s, 1),
            "load_s": round(loaded_s, 1),
            "ready_s": round(engine.stats.ready_s, 1),
            "captured": engine.stats.captured,
            **w.memory(),
        }


def _child(world: w.World, mode: str, out: Path, *arguments: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "benchmarks.vlm_engine", "--mode", mode, "--json", str(out)]
    command += ["--device", str(world.device), *(["--smoke"] if world.smoke else []), *arguments]
    return subprocess.Popen(command, env={**os.environ, "VLM_STARTED": str(time.time())})


def _result(process: subprocess.Popen[bytes], out: Path) -> list[dict[str, Any]]:
    try:
        process.wait(WAIT_S)
    finally:
        process.kill()
    written = json.loads(out.read_text()) if out.exists() else {"error": f"ended with {process.returncode}"}
    if written.get("error"):
        raise RuntimeError(written["error"])
    rows: list[dict[str, Any]] = written["rows"]
    return rows


def _await(path: Path, process: subprocess.Popen[bytes] | None) -> None:
    until = time.monotonic() + WAIT_S
    while not path.exists():
        if process is not None and process.poll() is not None:
            raise RuntimeError(f"a process ended with {process.returncode} before {path.name}")
        if time.monotonic() > until:
            raise RuntimeError(f"{path.name} did not come within {WAIT_S:.0f} s")
        time.sleep(0.02)
