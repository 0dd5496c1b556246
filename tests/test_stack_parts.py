"""The parts of the embedded stack: lock, plan, the server's configuration, watching over workers."""

import stat
import subprocess
import sys
from pathlib import Path

import pytest
from stack_world import STOP_S

from router.errors import SettingsError, StackError
from workers.broker import broker_url
from workers.secret_files import FOLDER, write_secret
from workers.service_settings import BrokerSettings
from workers.stack_liveness import Liveness
from workers.stack_lock import FolderLock
from workers.stack_plan import read_workers
from workers.stack_process import how_it_ended
from workers.stack_valkey import is_own, make_password, valkey_program, with_password


def test_a_worker_that_misses_too_many_questions_in_a_row_hangs():
    silent = set()
    liveness = Liveness({"a": "http://a", "b": "http://b"}, lambda url: url not in silent, failures=3)
    for silent_now in ({"http://a"}, {"http://a"}, set(), {"http://a"}, {"http://a"}):
        silent = silent_now
        liveness.ask_once()
    assert liveness.hanging() == []
    liveness.ask_once()
    assert liveness.hanging() == ["a"]
    assert liveness.hanging() == []


def test_a_held_folder_is_refused_and_a_killed_holder_blocks_nobody(tmp_path):
    code = "import sys, time; from pathlib import Path; from workers.stack_lock import FolderLock\n"
    code += "lock = FolderLock(Path(sys.argv[1])); print('held', flush=True); time.sleep(600)"
    holder = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE)
    assert holder.stdout.readline() == b"held\n"
    with pytest.raises(StackError, match=rf"process {holder.pid}"):
        FolderLock(tmp_path)
    holder.kill()
    holder.wait(STOP_S)
    holder.stdout.close()
    FolderLock(tmp_path).release()


def test_workers_are_read_from_stage_and_number():
    assert read_workers("fast=1, deep=2") == {"fast": 1, "deep": 2}
    assert read_workers("intake=4,fast=auto") == {"intake": 4, "fast": None}
    for wrong in ("", "fast", "fast=0", "fast=x", "slow=1", "fast=1,fast=2"):
        with pytest.raises(StackError, match="--workers"):
            read_workers(wrong)


@pytest.mark.parametrize(
    ("url", "own"),
    [
        ("redis://127.0.0.1:6390/0", True),
        ("redis://localhost/0", True),
        ("redis://valkey:6379/0", False),
        ("rediss://127.0.0.1:6390/0", False),
        ("unix:///run/valkey.sock", False),
    ],
)
def test_a_server_is_started_for_plain_loopback_addresses_only(url, own):
    assert is_own(BrokerSettings(url=url)) is own


def test_the_password_of_the_stacks_server_is_kept_by_port_and_found_in_its_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    broker = BrokerSettings(url="redis://127.0.0.1:6390/0")
    assert broker_url(broker) == broker.url
    own = with_password(broker, FOLDER)
    make_password(own)
    made = broker_url(own)
    assert made == broker_url(broker) != broker.url
    make_password(own)
    assert broker_url(own) == made
    Path(own.password_file).write_text("")
    with pytest.raises(SettingsError, match="is empty"):
        broker_url(broker)


@pytest.mark.parametrize(
    "changes",
    [
        {"url": "redis://127.0.0.1:6391/0"},
        {"url": "redis://valkey:6390/0"},
        {"url": "rediss://127.0.0.1:6390/0"},
        {"url": "redis://:mine@127.0.0.1:6390/0"},
        {"username": "worker"},
    ],
)
def test_the_password_of_the_stacks_server_goes_to_no_other_server(tmp_path, monkeypatch, changes):
    monkeypatch.chdir(tmp_path)
    write_secret(FOLDER / "valkey-6390.password", "s3cret-of-the-stack")
    broker = BrokerSettings(**{"url": "redis://127.0.0.1:6390/0"} | changes)
    assert "s3cret" not in broker_url(broker)


def test_a_folder_is_closed_to_others_but_not_the_one_in_which_the_user_works(tmp_path, monkeypatch):
    (tmp_path / "own").mkdir(mode=0o755)
    monkeypatch.chdir(tmp_path / "own")
    for folder, mode in ((tmp_path / "own", 0o755), (tmp_path / "own" / "stack", 0o700)):
        FolderLock(folder).release()
        assert stat.S_IMODE(folder.stat().st_mode) == mode


def test_the_password_is_given_on_stdin_whatever_its_characters(tmp_path):
    broker = BrokerSettings(url="redis://:a%22b%20%0Ac@127.0.0.1:0/0")
    program = valkey_program(broker, tmp_path)
    assert program.command[1:] == ("-",)
    assert 'requirepass "a\\x22b\\x20\\x0ac"' in program.stdin.splitlines()


def test_exit_codes_are_told_in_words():
    assert how_it_ended(3) == "ended with code 3"
    assert how_it_ended(-9) == "was killed by SIGKILL"
    assert how_it_ended(-99) == "was killed by signal 99"
