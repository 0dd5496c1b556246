"""The benchmarks of the service in their shortest form: they run and say what they should. Times are not looked at."""

import json
import subprocess
import sys

DEADLINE_S = 280


def run(module: str, *options: str) -> dict:
    """Run a benchmark and return its report."""
    command = [sys.executable, "-m", f"benchmarks.{module}", *options]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE_S, check=False)
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


def test_the_load_benchmark_takes_every_document_through_three_stages_beside_bare_celery():
    report = run("service_load", "--documents", "12", "--rounds", "1")
    (found,) = report["rounds"]
    assert sum(found["service"]["states"].values()) == 24, "as many again at a pace"
    assert report["ratio"] > 0
    assert report["cpu_ratio"] > 0
    assert found["service"]["submit_p99_ms"] > 0
    assert found["service"]["paced_submit_p99_ms"] > 0
    assert set(found["bare"]["cpu_ms_per_document"]) == {"intake", "fast", "deep", "server", "publisher", "all"}


def test_a_message_takes_less_than_a_kilobyte_of_the_server():
    assert run("service_load", "--documents", "2", "--rounds", "1")["message_bytes"] < 1000


def test_the_scaling_benchmark_compares_one_two_and_four_processes():
    report = run("service_scaling", "--documents", "4", "--delay-s", "0.01")
    assert set(report["times_one"]) == {"1", "2", "4"}
    assert report["times_one"]["1"] == 1.0


def test_the_benchmark_of_malformed_messages_counts_them_all_and_loses_no_document():
    report = run("service_messages", "--messages", "20", "--documents", "4", "--rounds", "1")
    assert (report["workers_ended"], report["problems"]) == (0, [])
    assert sum(report["sent"].values()) == 23
    assert report["rate"]["ratio"] > 0
