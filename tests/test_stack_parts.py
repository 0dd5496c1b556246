"""The parts of the embedded stack: lock, plan, the server's configuration, watching over workers."""

import subprocess
import sys

import pytest
from stack_world import STOP_S

from router.errors import StackError
from workers.service_settings import BrokerSettings
from workers.stack_liveness import Liveness
from workers.stack_lock import FolderLock
from workers.stack_plan import read_workers
from workers.stack_process import how_it_ended
from workers.stack_valkey import is_own, valkey_program


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


def test_the_password_is_given_on_stdin_whatever_its_characters(tmp_path):
    broker = BrokerSettings(url="redis://:a%22b%20%0Ac@127.0.0.1:0/0")
    program = valkey_program(broker, tmp_path)
    assert program.command[1:] == ("-",)
    assert 'requirepass "a\\x22b\\x20\\x0ac"' in program.stdin.splitlines()


def test_exit_codes_are_told_in_words():
    assert how_it_ended(3) == "ended with code 3"
    assert how_it_ended(-9) == "was killed by SIGKILL"
    assert how_it_ended(-99) == "was killed by signal 99"
