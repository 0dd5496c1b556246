"""Checkpoints by their hub id: what is fetched from a hub on loopback, and where it then lies."""

import http.server
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

pytest.importorskip("huggingface_hub", reason="the extra 'vlm' is not installed")

from backends.vlm.hub import LLAMA_VISION, command

COMMIT = "0" * 39 + "1"
SCRIPT = "import sys; from backends.vlm.hub import locate; print(locate(sys.argv[1], download=sys.argv[2] == 'fetch'))"


class Hub(http.server.BaseHTTPRequestHandler):
    """One repository; `asked` is every file that was fetched."""

    folder: Path
    asked: list[str]

    def do_GET(self):
        self._answer(body=True)

    def do_HEAD(self):
        self._answer(body=False)

    def _answer(self, body):
        path = self.path.partition("?")[0]
        name = path.partition("/resolve/")[2].partition("/")[2]
        headers = {"X-Repo-Commit": COMMIT}
        if path.startswith(f"/api/models/{LLAMA_VISION}/tree/"):
            content = self._listed(lambda name, size: {"type": "file", "path": name, "size": size, "oid": name})
        elif path.startswith(f"/api/models/{LLAMA_VISION}"):
            siblings = json.loads(self._listed(lambda name, size: {"rfilename": name}))
            content = json.dumps({"id": LLAMA_VISION, "sha": COMMIT, "siblings": siblings}).encode()
        elif name:
            content = (self.folder / name).read_bytes()
            headers["ETag"] = f'"{name.replace("/", "-")}"'
            if body:
                self.asked.append(name)
        else:
            self.send_error(404)
            return
        self.send_response(200)
        for key, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(key, value)
        self.end_headers()
        if body:
            self.wfile.write(content)

    def _listed(self, told):
        files = [path for path in self.folder.rglob("*") if path.is_file()]
        return json.dumps([told(str(file.relative_to(self.folder)), file.stat().st_size) for file in files]).encode()

    def log_message(self, *args):
        pass


@pytest.fixture
def hub(tmp_path):
    folder = tmp_path / "published"
    (folder / "original").mkdir(parents=True)
    names = ("config.json", "model-00001-of-00001.safetensors", "tokenizer.json", "chat_template.json", "LICENSE.txt")
    unread = ("original/consolidated.pth", "original/params.json", "original/tokenizer.model", "README.md")
    for name in (*names, *unread):
        (folder / name).write_text(f"{name} of the hub")
    handler = type("OneHub", (Hub,), {"folder": folder, "asked": []})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server, names
    server.shutdown()
    server.server_close()


def located(server, home, how):
    """Run in a process of its own: the hub's address is read with the import."""
    address = f"http://127.0.0.1:{server.server_port}"
    variables = {"HF_ENDPOINT": address, "HF_HOME": str(home), "HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_XET": "1"}
    return subprocess.run(
        [sys.executable, "-c", SCRIPT, LLAMA_VISION, how],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_a_download_leaves_out_the_publisher_s_own_format_and_is_found_again_without_the_hub(hub, tmp_path):
    server, names = hub
    before = located(server, tmp_path / "home", "look")
    assert before.returncode != 0
    assert f"run `{command(LLAMA_VISION)}`" in before.stderr
    assert server.RequestHandlerClass.asked == []
    fetched = located(server, tmp_path / "home", "fetch")
    assert fetched.returncode == 0, fetched.stderr
    snapshot = Path(fetched.stdout.strip())
    assert snapshot.name == COMMIT
    assert sorted(server.RequestHandlerClass.asked) == sorted(names)
    assert sorted(path.name for path in snapshot.iterdir()) == sorted(names)
    again = located(server, tmp_path / "home", "look")
    assert again.stdout == fetched.stdout
    assert len(server.RequestHandlerClass.asked) == len(names)


def test_a_command_leaves_out_the_publisher_s_own_format_wherever_it_fetches_to():
    plain = f'hf download {LLAMA_VISION} --exclude "original/*"'
    assert command(LLAMA_VISION) == plain
    assert command(LLAMA_VISION, "abc") == plain.replace(" --exclude", " --revision abc --exclude")
    assert command(LLAMA_VISION, folder=Path("/a b")) == f"{plain} --local-dir '/a b'"
