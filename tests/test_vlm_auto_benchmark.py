"""The benchmark of `auto` in its shortest form: it runs and says what it should. Times are not looked at."""

import json
import subprocess
import sys

import pytest

pytest.importorskip("torch", reason="the extra 'vlm' is not installed")


@pytest.mark.parametrize("model", ["internvl3-2b", "llama-3.2-11b-vision"])
def test_every_mode_reads_every_document_once_and_asks_all_questions(tmp_path, model):
    out = tmp_path / "rows.json"
    command = [sys.executable, "-m", "benchmarks.vlm_auto", "--smoke", "--documents", "8", "--model", model]
    ended = subprocess.run([*command, "--out", str(out)], capture_output=True, text=True, timeout=280, check=False)
    assert ended.returncode == 0, ended.stderr
    rows = json.loads(out.read_text())
    assert [row["follow_ups"] for row in rows] == [0, 8, 16]
    assert rows[0]["cost"] == 1.0
    assert all(row["documents_h"] > 0 and row["slots_lost"] == 0 for row in rows)
    assert "auto" in ended.stdout
