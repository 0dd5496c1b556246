"""`docroute up`: what it starts, what it says, and that it leaves nothing behind."""

import contextlib
import json
import os
import signal
import stat
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
import redis
from stack_world import STOP_S, Up, alive
from worker_processes import wait_for

SAMPLE, OTHER_SAMPLE, THIRD_SAMPLE = (
    str(Path(__file__).resolve().parent.parent / "samples" / name)
    for name in ("receipt-clean.png", "receipt-faded.jpg", "receipt-shadow.jpg")
)


@pytest.fixture(scope="module")
def up(tmp_path_factory):
    """A running stack with Flower, for tests that leave it running."""
    folder = tmp_path_factory.mktemp("up")
    (folder / ".docroute" / "valkey").mkdir(parents=True)  # as it was made before there were passwords
    running = Up(folder, "--flower", "--workers", "intake=1,fast=1,deep=1")
    try:
        running.wait_until("ready:")
        yield running
    finally:
        running.stop()


def test_a_document_that_is_submitted_in_the_same_folder_is_read(up):
    done = up.docroute("submit", SAMPLE, "--json")
    assert done.returncode == 0, done.stderr
    read = up.docroute("submit", SAMPLE, "--wait", "--json")
    assert read.returncode == 0, read.stderr
    assert '"total_amount"' in read.stdout


def test_it_says_where_to_look_and_something_answers_there(up):
    for variable, path in (("FLOWER__PORT", "/healthcheck"), ("MONITORING__PORT", "/metrics")):
        address = f"http://127.0.0.1:{up.environment[f'DOCROUTE_SERVICE__{variable}']}"
        assert address in up.said()
        with urllib.request.urlopen(address + path, timeout=10) as answer:
            assert answer.status == 200
    assert "docroute_queue_depth" in answer_of(up, 0)
    assert "docroute_step_seconds" in answer_of(up, 1)
    assert "flower_auth" in up.said()


def answer_of(up, offset):
    port = int(up.environment["DOCROUTE_SERVICE__MONITORING__PORT"]) + offset
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        return answer.read().decode()


def test_the_server_keeps_every_write_never_evicts_and_listens_here_only(up):
    with contextlib.closing(redis.Redis(port=up.port, password=password_of(up), decode_responses=True)) as client:
        settings = client.config_get("appendonly", "maxmemory-policy", "maxmemory", "bind")
    assert settings["appendonly"] == "yes"
    assert settings["maxmemory-policy"] == "noeviction"
    assert settings["bind"] == "127.0.0.1"
    assert int(settings["maxmemory"]) > 0


def password_of(up):
    return (up.folder / ".docroute" / f"valkey-{up.port}.password").read_text().strip()


def test_its_server_has_a_password_that_stands_in_a_file_only(up):
    with pytest.raises(redis.AuthenticationError), contextlib.closing(redis.Redis(port=up.port)) as client:
        client.ping()
    secret = password_of(up)
    assert len(secret) >= 32
    environments = [Path(f"/proc/{pid}/environ") for pid in (up.process.pid, *up.started())]
    shown = [path.read_text(errors="replace") for path in environments if path.exists()]
    told = up.docroute("doctor", "--json").stdout
    logs = [path.read_text() for path in (up.folder / ".docroute" / "logs").iterdir()]
    for text in (up.said(), told, *up.started().values(), *shown, *logs):
        assert secret not in text
    assert f".docroute/valkey-{up.port}.password" in up.said()


def test_its_folder_and_what_the_server_writes_are_the_owners_alone(up):
    folder = up.folder / ".docroute"
    for closed in (folder, folder / "valkey", folder / "logs"):
        assert stat.S_IMODE(closed.stat().st_mode) == 0o700, closed
    files = [path for name in ("valkey", "logs") for path in (folder / name).rglob("*") if path.is_file()]
    assert any("aof" in path.name for path in files)
    for path in (*files, folder / "lock", folder / f"valkey-{up.port}.password", folder / "flower_auth"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path


def test_another_folder_is_told_where_the_password_is(up, tmp_path):
    command = up.command("list")
    ended = subprocess.run(command, env=up.environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    (line,) = ended.stderr.strip().splitlines()
    assert "docroute up keeps its password in .docroute of the folder where it was started" in line


def test_a_second_stack_in_the_folder_says_so_in_one_line(up):
    second = up.docroute("up")
    assert second.returncode == 1
    assert "docroute up runs in .docroute already (process " in second.stderr
    assert len(second.stderr.strip().splitlines()) == 1


def test_a_taken_port_is_named(up):
    second = up.docroute("up", "--folder", "other")
    assert second.returncode == 1
    assert f"port {up.port} on 127.0.0.1 is taken" in second.stderr.splitlines()[-1]


def test_a_worker_that_dies_is_started_again_and_works(up):
    first = up.pid_of("worker fast")
    os.killpg(first, signal.SIGKILL)
    up.wait_until("fast-worker was killed by SIGKILL, starts again in 1 s")
    wait_for(lambda: any("worker fast" in args for args in up.started().values()), "it runs again")
    assert up.pid_of("worker fast") != first
    read = up.docroute("submit", OTHER_SAMPLE, "--wait", "--json")
    assert read.returncode == 0, read.stderr


def test_a_server_that_dies_is_started_again_with_all_that_it_had(up):
    waiting = up.docroute("submit", SAMPLE).stdout.split()[0]
    os.kill(up.pid_of("valkey-server"), signal.SIGKILL)
    up.wait_until("valkey was killed by SIGKILL, starts again in 1 s")
    wait_for(lambda: any("valkey-server" in args for args in up.started().values()), "it runs again")
    wait_for(lambda: up.docroute("status", waiting).returncode == 0, "it knows the job")
    read = up.docroute("submit", THIRD_SAMPLE, "--wait", "--json")
    assert read.returncode == 0, read.stderr


def test_each_process_has_a_log_and_workers_write_json(up):
    logs = {path.name for path in (up.folder / ".docroute" / "logs").iterdir()}
    assert logs >= {"valkey.log", "intake-worker.log", "fast-worker.log", "deep-worker.log", "flower.log"}
    assert '"stage": "intake"' in (up.folder / ".docroute" / "logs" / "intake-worker.log").read_text()


def test_killed_or_stopped_it_leaves_nothing_behind_and_the_next_start_knows_every_job(tmp_path):
    password = tmp_path / "password"
    options = {"DOCROUTE_SERVICE__BROKER__PASSWORD_FILE": str(password)}
    up = Up(tmp_path, "--workers", "intake=2", **options)
    up.wait_until("ready:")
    assert stat.S_IMODE(password.stat().st_mode) == 0o600
    with pytest.raises(redis.AuthenticationError), contextlib.closing(redis.Redis(port=up.port)) as client:
        client.ping()
    submitted = up.docroute("submit", SAMPLE)
    assert submitted.returncode == 0, submitted.stderr
    job_id = submitted.stdout.split()[0]
    processes = up.started()
    assert len(processes) >= 5
    assert not [args for args in processes.values() if password.read_text().strip() in args]
    time.sleep(1.1)  # an append-only file is written to the disk once a second
    up.process.kill()
    up.process.wait(STOP_S)
    wait_for(lambda: not alive(processes), "all that it had started ends")
    again = Up(tmp_path, "--workers", "fast=1", **options | {"DOCROUTE_SERVICE__BROKER__URL": up_url(up)})
    try:
        again.wait_until("ready:")
        assert job_id in again.docroute("status", job_id).stdout
        processes = again.started()
    finally:
        assert again.stop() == 0
    assert alive(processes) == {}
    assert "docroute up: stopped" in again.said()


def up_url(up):
    return up.environment["DOCROUTE_SERVICE__BROKER__URL"]


def test_a_second_signal_ends_it_at_once_and_the_document_is_read_after_the_next_start(tmp_path):
    script = tmp_path / "script.json"
    script.write_text(json.dumps([{"delay_s": 600.0}]))
    slow = {"DOCROUTE_LANES__OPTIONS__FAKE__SCRIPT": str(script)}
    soon = {"DOCROUTE_SERVICE__STEPS__LEASE_S": "10.0", "DOCROUTE_SERVICE__STEPS__SWEEP_EVERY_S": "0.5"}
    up = Up(tmp_path, "--workers", "intake=1,fast=1", **slow | soon)
    up.wait_until("ready:")
    job_id = up.docroute("submit", SAMPLE, "--tier", "fast").stdout.split()[0]
    wait_for(lambda: "extracting" in up.docroute("status", job_id).stdout, "it is read")
    processes = up.started()
    up.process.send_signal(signal.SIGINT)
    up.wait_until("stopping")
    up.process.send_signal(signal.SIGINT)
    assert up.process.wait(STOP_S) == 0
    assert alive(processes) == {}
    script.write_text("[]")
    again = Up(tmp_path, "--workers", "fast=1", **slow | soon | {"DOCROUTE_SERVICE__BROKER__URL": up_url(up)})
    try:
        again.wait_until("ready:")
        read = again.docroute("wait", job_id, "--json")
        assert read.returncode == 0, read.stderr
    finally:
        again.stop()


def test_a_trial_runs_a_command_and_keeps_nothing(tmp_path):
    script = "import os, sys; print(os.environ['DOCROUTE_SERVICE__BROKER__URL']); sys.exit(7)"
    up = Up(tmp_path, "--trial", "--workers", "fast=1", "--", sys.executable, "-c", script)
    assert up.process.wait(STOP_S) == 7, up.said()
    assert "redis://127.0.0.1:" in up.said()
    assert up_url(up) not in up.said()
    folder = next(line.rpartition(" ")[2] for line in up.said().splitlines() if "logs: " in line)
    assert not Path(folder).parent.exists()
    assert not (tmp_path / ".docroute").exists()


def test_with_a_broker_of_ones_own_no_server_is_started(tmp_path, valkey_url):
    up = Up(tmp_path, "--broker", valkey_url, "--workers", "fast=1", DOCROUTE_SERVICE__BROKER__KEY_PREFIX="up:")
    try:
        up.wait_until("ready:")
        assert not [args for args in up.started().values() if "valkey-server" in args]
    finally:
        assert up.stop() == 0


def test_a_broker_that_is_not_there_is_told_without_its_password(tmp_path):
    up = Up(tmp_path, "--broker", "redis://:hunter2@127.0.0.1:1/0", "--workers", "fast=1")
    assert up.process.wait(STOP_S) == 1
    assert up.said().splitlines()[-1].startswith("docroute: cannot reach redis://127.0.0.1:1/0")
    assert "hunter2" not in up.said()


def test_a_worker_that_cannot_start_ends_the_stack_with_its_reason(tmp_path):
    up = Up(tmp_path, "--workers", "fast=1", DOCROUTE_LANES__FAST="fakk")
    assert up.process.wait(STOP_S) == 1
    assert "fast-worker cannot start" in up.said().splitlines()[-1]
    assert "fakk" in up.said().splitlines()[-1]
