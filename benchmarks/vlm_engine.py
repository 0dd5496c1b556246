"""How fast the vision-language engine reads, with models of the real shapes and random weights.

`python -m benchmarks.vlm_engine --modes all --out FOLDER` runs every mode in a process of its own and writes
`results.json`, `table.md` and `log.txt`; a mode that fails does not stop the others. `--smoke` rehearses with tiny
models.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TextIO

MODES: dict[str, tuple[str, int]] = {
    "gpu-tests": ("benchmarks.vlm_engine_check:gpu_tests", 1),
    "check": ("benchmarks.vlm_engine_check:check", 16),
    "internvl": ("benchmarks.vlm_engine_modes:internvl", 1024),
    "internvl-tiles": ("benchmarks.vlm_engine_modes:internvl_tiles", 640),
    "internvl-jpeg": ("benchmarks.vlm_engine_modes:internvl_jpeg", 768),
    "generate": ("benchmarks.vlm_engine_modes:generate", 64),
    "llama-bf16": ("benchmarks.vlm_engine_modes:llama_bf16", 128),
    "llama-int8": ("benchmarks.vlm_engine_modes:llama_int8", 128),
    "llama-nf4-one": ("benchmarks.vlm_engine_modes:llama_nf4_one", 1),
    "together": ("benchmarks.vlm_engine_processes:together", 400),
    "ready-internvl": ("benchmarks.vlm_engine_processes:ready_internvl", 1),
    "ready-llama": ("benchmarks.vlm_engine_processes:ready_llama", 1),
    "parts": ("benchmarks.vlm_engine_parts:parts", 128),
}
"""Where each mode is and how many documents it reads."""
TARGETS = (
    "gpu-tests", "check", "internvl", "internvl-jpeg", "llama-bf16", "llama-int8", "generate", "together",
    "ready-internvl", "ready-llama",
)  # fmt: skip
"""The modes that show every number the lanes have to reach, in ten minutes."""
PARTS = {"together-part", "ready-part"}
COLUMNS = (
    "what", "documents", "documents_h", "seconds", "slots", "busy", "decoding", "live", "wait_p50_ms", "wait_p99_ms",
    "wait_max_ms", "step_ms", "group",
    "ready_s", "import_s", "load_s", "peak_gb", "reserved_gb", "prefill_ms", "vision_ms", "collate_ms", "host_ms",
    "prompt", "a_document_ms", "ms", "count", "tflops", "gb_s", "difference",
)  # fmt: skip


def run_mode(
    mode: str, device: str, smoke: bool, documents: int | None, arguments: list[str], out: Path | None
) -> dict[str, Any]:
    """Run one mode here; return its rows, what it ran on, and the error that ended it, if one did.

    `out` is written after every row, so that a mode that is stopped keeps what it had.
    """
    import torch

    from benchmarks.vlm_world import World

    world = World(torch.device("cpu" if smoke and not torch.cuda.is_available() else device), smoke)
    if smoke:
        torch.set_num_threads(1)
    result: dict[str, Any] = {"mode": mode, "rows": [], "error": None, **_machine(world.device)}
    started = time.perf_counter()
    try:
        for row in _rows(mode, world, documents, arguments):
            result["rows"].append(row)
            _write(out, {**result, "error": "stopped"})
            print(json.dumps(row), flush=True)
    except Exception as exc:
        result["error"] = f"{type(exc).__name__}: {exc}"
        result["trace"] = traceback.format_exc()
        traceback.print_exc()
    result["mode_s"] = round(time.perf_counter() - started, 1)
    _write(out, result)
    return result


def _write(out: Path | None, result: dict[str, Any]) -> None:
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(result, indent=1))


def _rows(mode: str, world: Any, documents: int | None, arguments: list[str]) -> Iterable[dict[str, Any]]:
    if mode in PARTS:
        from benchmarks.vlm_engine_processes import ready_part, together_part

        if mode == "ready-part":
            return ready_part(world, arguments[0], Path(arguments[1]))
        return together_part(world, arguments[0], int(arguments[1]), Path(arguments[2]))
    place, count = MODES[mode]
    module, _, name = place.partition(":")
    __import__(module)
    function: Callable[..., Iterable[dict[str, Any]]] = getattr(sys.modules[module], name)
    return function(world, documents or (min(count, 20) if world.smoke else count))


def _machine(device: Any) -> dict[str, Any]:
    import torch
    import transformers

    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    return {"device": name, "torch": str(torch.__version__), "transformers": transformers.__version__}


def run_all(modes: list[str], args: argparse.Namespace) -> None:
    """Run modes one after the other, each in its own process, and print the table of all."""
    args.out.mkdir(parents=True, exist_ok=True)
    results = []
    with (args.out / "log.txt").open("w") as log:
        for mode in modes:
            result = _run_apart(mode, args, log)
            results.append(result)
            spent, error = result.get("mode_s", "?"), result["error"]
            print(f"{mode}: {len(result['rows'])} rows, {spent} s, error {error}", flush=True)
            (args.out / "results.json").write_text(json.dumps(results, indent=1))
            (args.out / "table.md").write_text(table(results))
    print(table(results))


def _run_apart(mode: str, args: argparse.Namespace, log: TextIO) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="vlm-mode-") as folder:
        out = Path(folder) / "result.json"
        command = [sys.executable, "-m", "benchmarks.vlm_engine", "--mode", mode, "--json", str(out)]
        command += ["--device", args.device, *(["--smoke"] if args.smoke else [])]
        command += ["--documents", str(args.documents)] if args.documents else []
        log.write(f"=== {mode}\n")
        log.flush()
        began = time.perf_counter()
        try:
            code = subprocess.run(command, stdout=log, stderr=log, timeout=args.timeout_s, check=False).returncode
        except subprocess.TimeoutExpired:
            code = -1
        if out.exists():
            result: dict[str, Any] = json.loads(out.read_text())
            result["process_s"] = round(time.perf_counter() - began, 1)
            return result
        return {"mode": mode, "rows": [], "error": f"no result, exit {code}; see log.txt"}


def table(results: list[dict[str, Any]]) -> str:
    """Return a Markdown table of all rows, with errors below."""
    rows = [row for result in results for row in result["rows"]]
    shown = [column for column in COLUMNS if any(row.get(column) is not None for row in rows)]
    machine = next(
        (f"{r['device']}, torch {r['torch']}, transformers {r['transformers']}" for r in results if "device" in r), ""
    )
    lines = [machine, "", "| " + " | ".join(shown) + " |", "|" + "---|" * len(shown)]
    for row in rows:
        cells = (
            "" if row.get(column) is None else f"{row[column]:,}" if column == "documents_h" else str(row[column])
            for column in shown
        )
        lines.append("| " + " | ".join(cells) + " |")
    lines += ["", *(f"{result['mode']} failed: {result['error']}" for result in results if result["error"])]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--modes", default="", help="all, targets, or names separated by commas: " + ", ".join(MODES))
    parser.add_argument("--out", type=Path, default=Path("out/vlm"))
    parser.add_argument("--smoke", action="store_true", help="tiny models, on the CPU where there is no GPU")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--documents", type=int, default=None)
    parser.add_argument("--timeout-s", type=float, default=300.0, help="of one mode")
    parser.add_argument("--mode", default="", help="run one mode in this process")
    parser.add_argument("--json", type=Path, default=None, help="with --mode: where its result goes")
    parser.add_argument("arguments", nargs="*")
    args = parser.parse_args()
    if args.mode:
        result = run_mode(args.mode, args.device, args.smoke, args.documents, args.arguments, args.json)
        sys.exit(1 if result["error"] else 0)
    named = {"": list(MODES), "all": list(MODES), "targets": list(TARGETS)}
    run_all(named.get(args.modes) or args.modes.split(","), args)


if __name__ == "__main__":
    main()
