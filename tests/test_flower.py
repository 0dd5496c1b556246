"""Flower as a real process: who may look, what is seen, and that nothing can be changed."""

import base64
import json
import os
import signal
import stat
import subprocess
import sys
import urllib.error
import urllib.request

import pytest
from steps_world import PAGE, SURE
from valkey_server import free_port
from worker_processes import PATIENT, STOP_S, ServiceProcesses, wait_for

from router.errors import SettingsError
from workers.flower_auth import cookie_secret, credentials_file, read_credentials
from workers.secret_files import is_loopback
from workers.service_settings import FlowerSettings

USER = "operator:open-sesame"


def ask(port, path, user=None, method="GET"):
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", method=method)
    if user:
        request.add_header("Authorization", "Basic " + base64.b64encode(user.encode()).decode())
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as exc:
        return exc.code, exc.read().decode()
    except OSError:
        return 0, ""


def start_flower(environment, folder, *options):
    command = [sys.executable, "-m", "workers.cli", "flower", *options]
    with (folder / "flower.log").open("ab") as log:
        return subprocess.Popen(command, env={**os.environ, **environment}, cwd=folder, stdout=log, stderr=log)


@pytest.fixture(scope="module")
def service(tmp_path_factory, valkey_url):
    """A service with workers, a Flower that watches them, and one document that went through."""
    from workers.service_settings import BrokerSettings

    folder = tmp_path_factory.mktemp("flower")
    running = ServiceProcesses(folder, BrokerSettings(url=valkey_url, key_prefix="flower:"), [SURE], **PATIENT)
    (folder / "auth").write_text(USER + "\n")
    running.port = free_port()
    running.environment |= {
        "DOCROUTE_SERVICE__FLOWER__PORT": str(running.port),
        "DOCROUTE_SERVICE__FLOWER__AUTH_FILE": str(folder / "auth"),
        "FLOWER_UNAUTHENTICATED_API": "true",
        "FLOWER_READ_ONLY": "false",
    }
    flower = start_flower(running.environment, folder)
    try:
        running.start("intake", "fast")
        wait_for(lambda: ask(running.port, "/healthcheck")[0] == 200, "Flower answers")
        wait_for(
            lambda: (
                (seen := ask(running.port, "/api/workers?refresh=1", USER))[0] == 200 and len(json.loads(seen[1])) == 2
            ),
            "it sees the workers",
        )
        running.submit(PAGE, "j1", uri="file:///in/bill.png")
        running.app.send_task(
            "docroute.submit", kwargs={"uri": "https://u:hunter2@host/x.pdf"}, queue="intake", ignore_result=True
        )
        running.wait_until_ended(1)
        yield running
    finally:
        flower.send_signal(signal.SIGTERM)
        assert flower.wait(STOP_S) == 0
        running.stop()


@pytest.mark.parametrize("path", ["/", "/tasks", "/workers", "/broker", "/api/tasks", "/api/workers"])
def test_nobody_sees_anything_without_the_password(service, path):
    assert ask(service.port, path)[0] == 401
    assert ask(service.port, path, "operator:wrong")[0] == 401
    assert ask(service.port, path, USER)[0] == 200


def tasks_of(service):
    return json.loads(ask(service.port, "/api/tasks", USER)[1])


def test_a_task_says_job_stage_state_queue_and_how_many_pages(service):
    def fast_task():
        tasks = [task for task in tasks_of(service).values() if task["name"] == "docroute.fast"]
        # the event that it was sent goes with others, and may come after the one that it ended
        return [task for task in tasks if task["state"] == "SUCCESS" and task["routing_key"]]

    wait_for(fast_task, "Flower saw the document's fast task end")
    (task,) = fast_task()
    assert task["args"] == "j1, 1 page, note, tier auto"
    assert task["routing_key"] == "fast"
    assert task["uuid"].startswith("j1-fast-")
    assert task["result"] == "'done'"


def test_the_arguments_of_other_clients_are_shown_without_passwords_and_paths(service):
    def submitted():
        return [t for t in tasks_of(service).values() if t["name"] == "docroute.submit" and t["kwargs"]]

    wait_for(submitted, "Flower saw the submission")
    shown = submitted()[0]["kwargs"]
    assert "https://host/" in shown
    assert "x.pdf" not in shown, "whose path may be a secret cannot be told from a text of another client"
    assert "hunter2" not in json.dumps(tasks_of(service))


@pytest.mark.parametrize(
    "path",
    [
        "/api/task/send-task/docroute.fast",
        "/api/task/async-apply/docroute.fast",
        "/api/task/revoke/x",
        "/api/worker/shutdown/{worker}",
        "/api/worker/pool/grow/{worker}?n=3",
        "/api/worker/queue/add-consumer/{worker}?queue=deep",
        "/api/task/rate-limit/docroute.fast?workername={worker}&ratelimit=1",
    ],
)
def test_nothing_can_be_changed_whatever_the_environment_says(service, path):
    worker = next(iter(json.loads(ask(service.port, "/api/workers", USER)[1])))
    assert ask(service.port, path.format(worker=worker), USER, "POST")[0] in {403, 405}


def test_no_password_is_in_the_log_or_the_list_of_processes(service):
    assert "open-sesame" not in (service.folder / "flower.log").read_text()
    assert "open-sesame" not in subprocess.check_output(["ps", "-e", "-ww", "-o", "args"], text=True)


def test_a_taken_port_is_told_in_one_line(service):
    second = start_flower(service.environment, service.folder)
    assert second.wait(STOP_S) == 2
    last = (service.folder / "flower.log").read_text().splitlines()[-1]
    assert last.startswith(f"docroute: Flower cannot listen on 127.0.0.1 port {service.port}")


def test_beyond_this_machine_flower_does_not_listen_without_a_password_file(tmp_path):
    flower = start_flower({"DOCROUTE_SERVICE__FLOWER__HOST": "0.0.0.0"}, tmp_path)
    assert flower.wait(STOP_S) == 2
    assert "name a file with user:password lines" in (tmp_path / "flower.log").read_text()
    assert not (tmp_path / ".docroute").exists()


def test_on_loopback_a_password_is_made_once_for_its_owner_only(tmp_path):
    path = credentials_file(FlowerSettings(), tmp_path / "own")
    (made,) = read_credentials(path)
    assert made.startswith("operator:")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert read_credentials(credentials_file(FlowerSettings(), tmp_path / "own")) == [made]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "nobody could look"),
        ("operator\n", "line 1"),
        ("a:long-enough\nb:short\n", "line 2"),
        ("a:pässwörter", "ASCII"),
    ],
)
def test_an_unusable_password_file_is_refused_without_being_quoted(tmp_path, text, complaint):
    path = tmp_path / "auth"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(SettingsError, match=complaint) as raised:
        read_credentials(path)
    assert "short" not in str(raised.value)
    assert "pässwörter" not in str(raised.value)


def test_the_cookie_secret_stays_the_same_until_a_password_changes():
    assert cookie_secret([USER]) == cookie_secret([USER]) != cookie_secret(["operator:another-one"])


@pytest.mark.parametrize(
    ("host", "own"), [("127.0.0.1", True), ("localhost", True), ("::1", True), ("0.0.0.0", False), ("h.example", False)]
)
def test_loopback_is_told_from_other_hosts(host, own):
    assert is_loopback(host) is own
