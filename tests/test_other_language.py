"""Celery clients that are not ours: they submit by task name, and the webhook comes; with real workers and a server."""

import base64
import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import sysconfig
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis
from bad_inputs import encode, picture
from http_receiver import http_receiver
from steps_world import SURE
from worker_processes import DEADLINE_S, ServiceProcesses, children_of, needs_children, wait_for

from workers.queue_depth import BrokerQueues
from workers.service_settings import BrokerSettings
from workers.signature import HEADER, sign, standard_headers, verify

pytestmark = pytest.mark.redis
EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
CLIENT = "celery-node@0.5.9"
INSTALL_S = 120.0
SECRET = b"a secret of thirty-two characters"
PLAIN_CLIENT = """
import json, sys
from celery import Celery

assert "workers" not in sys.modules
broker, prefix, arguments = sys.argv[1:]
app = Celery(broker=broker)
app.conf.broker_transport_options = {"global_keyprefix": prefix, "queue_order_strategy": "priority"}
app.send_task("docroute.submit", kwargs=json.loads(arguments), queue="intake")
"""


@pytest.fixture
def service(tmp_path: Path, broker_settings: BrokerSettings) -> Iterator[ServiceProcesses]:
    """Settings under which receivers on loopback are called; its workers are not started."""
    (tmp_path / "secret").write_bytes(SECRET + b"\n")
    variables = {
        "DOCROUTE_SERVICE__WEBHOOKS__HOSTS": "[]",
        "DOCROUTE_SERVICE__WEBHOOKS__SECRET_FILE": str(tmp_path / "secret"),
        "DOCROUTE_SERVICE__WEBHOOKS__ALLOW_HTTP": "true",
        "DOCROUTE_SERVICE__WEBHOOKS__ALLOW_PRIVATE": "true",
    }
    made = ServiceProcesses(tmp_path, broker_settings, [SURE], **variables)
    (tmp_path / "documents" / "note.png").write_bytes(encode(picture(), "PNG"))
    yield made
    made.stop()


def work_for(service: ServiceProcesses, host: str) -> None:
    """Start workers that may call a host."""
    service.environment["DOCROUTE_SERVICE__WEBHOOKS__HOSTS"] = json.dumps([host])
    service.start("intake", "fast")


def arguments_of(service: ServiceProcesses, **more: str) -> dict[str, Any]:
    uri = (service.folder / "documents" / "note.png").as_uri()
    return {"uri": uri, "schema": "note", "metadata": {"order": "4711"}} | more


@pytest.fixture(scope="module")
def node_client(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """Node and a folder with the examples, in which the Celery client of npm is installed."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("there is no node or npm")
    folder = tmp_path_factory.mktemp("node")
    for name in ("submit.js", "receive.js"):
        shutil.copy(EXAMPLES / name, folder)
    command = [npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", str(folder), CLIENT]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_S, check=False)
        problem = "" if done.returncode == 0 else done.stderr
    except subprocess.TimeoutExpired:
        problem = f"not within {INSTALL_S:.0f} s"
    if problem and os.environ.get("CI") == "true":
        pytest.fail(f"{CLIENT} cannot be installed: {problem}")
    if problem:
        pytest.skip(f"{CLIENT} cannot be installed: {problem[-200:]}")
    return node, folder


@contextmanager
def lines_of(*command: str) -> Iterator["queue.Queue[str]"]:
    """The lines that a program prints, while it runs."""
    lines: queue.Queue[str] = queue.Queue()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        reader = threading.Thread(target=lambda: [lines.put(line) for line in process.stdout], daemon=True)
        reader.start()
        try:
            yield lines
        finally:
            process.kill()
            reader.join()


def test_a_javascript_client_submits_by_task_name_and_its_receiver_knows_the_webhook(
    service: ServiceProcesses, node_client: tuple[str, Path]
) -> None:
    node, folder = node_client
    with lines_of(node, str(folder / "receive.js"), str(service.folder / "secret")) as received:
        url = received.get(timeout=DEADLINE_S).strip()
        work_for(service, url.removeprefix("http://").rstrip("/"))
        arguments = arguments_of(service, job_id="order-4711", callback_url=url)
        broker = service.settings.service.broker
        subprocess.run(
            [node, str(folder / "submit.js"), broker.url, json.dumps(arguments)],
            env=os.environ | {"DOCROUTE_PREFIX": broker.key_prefix},
            capture_output=True,
            timeout=DEADLINE_S,
            check=True,
        )
        told = json.loads(received.get(timeout=DEADLINE_S))
    assert (told["job_id"], told["state"], told["metadata"]) == ("order-4711", "done", {"order": "4711"})
    assert told["result"]["fields"]["number"]["value"] == "A-1"
    wait_for(lambda: "notified" in service.kinds("order-4711"), "the answer of the receiver is noted")


def test_the_javascript_receiver_knows_genuine_webhooks(tmp_path: Path) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("there is no node")
    now, body = int(time.time()), '{"job_id": "ä"}'.encode()
    genuine = sign(SECRET, now, body)
    other = sign(b"another secret of some length", now, body)
    headers = [
        genuine,
        f"{other},{genuine.partition(',')[2]}",
        other,
        sign(SECRET, now - 400, body),
        "",
        "t=,v1=",
        "v1",
    ]
    script = (
        f"const {{ isGenuine }} = require({json.dumps(str(EXAMPLES / 'receive.js'))});"
        f"const body = Buffer.from({json.dumps(body.decode())});"
        f"console.log(JSON.stringify({json.dumps(headers)}.map("
        f"(header) => isGenuine({json.dumps(SECRET.decode())}, header, body))));"
    )
    done = subprocess.run([node, "-e", script], capture_output=True, text=True, timeout=DEADLINE_S, check=True)
    assert json.loads(done.stdout) == [True, True, False, False, False, False, False]
    assert json.loads(done.stdout) == [verify(SECRET, header, body, now) for header in headers]


@pytest.mark.parametrize("secret", [SECRET.decode(), "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"])
def test_the_javascript_receiver_knows_the_headers_of_the_standard(secret: str) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("there is no node")
    now, body = int(time.time()), '{"job_id": "ä"}'.encode()
    genuine = standard_headers((b"another secret of some length", secret.encode()), "a.done", now, body)
    old = standard_headers((secret.encode(),), "a.done", now - 400, body)
    other = standard_headers((b"another secret of some length",), "a.done", now, body)
    headers = [genuine, old, other, genuine | {"webhook-id": "b_done"}, {}, genuine | {"webhook-signature": "v1,"}]
    script = (
        f"const {{ isStandard }} = require({json.dumps(str(EXAMPLES / 'receive.js'))});"
        f"const body = Buffer.from({json.dumps(body.decode())});"
        f"console.log(JSON.stringify({json.dumps(headers)}.map("
        f"(headers) => isStandard({json.dumps(secret)}, headers, body))));"
    )
    done = subprocess.run([node, "-e", script], capture_output=True, text=True, timeout=DEADLINE_S, check=True)
    assert json.loads(done.stdout) == [True, False, False, False, False, False]


def test_a_python_program_with_celery_alone_submits_and_gets_its_webhook(
    service: ServiceProcesses, tmp_path: Path
) -> None:
    with http_receiver() as receiver:
        work_for(service, receiver.host)
        arguments = arguments_of(service, job_id="order-4711", callback_url=receiver.url("/done"))
        broker = service.settings.service.broker
        subprocess.run(
            # -S: no module that is only installed by a link to its sources, as the packages of this project
            [sys.executable, "-S", "-c", PLAIN_CLIENT, broker.url, broker.key_prefix, json.dumps(arguments)],
            cwd=tmp_path,
            env={"PATH": os.environ["PATH"], "PYTHONPATH": sysconfig.get_path("purelib")},
            timeout=DEADLINE_S,
            check=True,
        )
        wait_for(lambda: receiver.received, "the webhook comes")
        (told,) = receiver.received
    assert verify(SECRET, told.headers[HEADER.lower()], told.body, time.time())
    assert json.loads(told.body)["metadata"] == {"order": "4711"}


def headers_of(task_id: str) -> dict[str, str]:
    """The headers of protocol 2 that celery-node sends: no argsrepr, origin, retries or time limits."""
    return {"lang": "js", "task": "docroute.submit", "id": task_id}


def bare_message(arguments: dict[str, Any], protocol: int, **properties: Any) -> bytes:
    """A message with no more than a client of this protocol must send."""
    task_id = str(uuid.uuid4())
    body: Any = [[], arguments, {}]
    if protocol == 1:
        body = {"task": "docroute.submit", "id": task_id, "args": [], "kwargs": arguments}
    own = {
        "body_encoding": "base64",
        "delivery_info": {"exchange": "", "routing_key": "intake"},
        "delivery_mode": 2,
        "delivery_tag": str(uuid.uuid4()),
    }
    message = {
        "body": base64.b64encode(json.dumps(body).encode()).decode(),
        "content-type": "application/json",
        "content-encoding": "utf-8",
        "headers": headers_of(task_id) if protocol == 2 else {},
        "properties": own | properties,
    }
    return json.dumps(message).encode()


def push(service: ServiceProcesses, message: bytes, step: int = 0) -> None:
    broker = service.settings.service.broker
    name = broker.key_prefix + "intake" + (f"\x06\x16{step}" if step else "")
    with redis.Redis.from_url(broker.url) as client:
        client.lpush(name, message)


@pytest.mark.parametrize("protocol", [1, 2])
def test_messages_with_nothing_but_what_their_protocol_needs_become_jobs(
    service: ServiceProcesses, protocol: int
) -> None:
    push(service, bare_message(arguments_of(service, job_id="none"), protocol))
    push(service, bare_message(arguments_of(service, job_id="last"), protocol, priority=9), step=9)
    service.start("intake", "fast")
    wait_for(lambda: service.ended() == 2, "both jobs have ended")
    assert [service.job(name).state for name in ("none", "last")] == ["done", "done"]


@pytest.mark.parametrize("protocol", [1, 2])
def test_a_bare_message_that_goes_back_to_its_queue_is_taken_again(service: ServiceProcesses, protocol: int) -> None:
    push(service, bare_message(arguments_of(service, job_id="again"), protocol))
    with service.app.connection() as connection:
        channel = connection.default_channel
        message = channel.basic_get("intake")
        queues = BrokerQueues(service.settings.service.broker)
        assert (queues.unacked().count, queues.held_jobs("intake", 60.0)) == (1, set())
        channel.basic_reject(message.delivery_tag, requeue=True)
        assert queues.next_jobs("intake") == []
        queues.close()
    service.start("intake", "fast")
    wait_for(lambda: service.ended() == 1, "the job has ended")
    assert service.job("again").state == "done"


def test_messages_that_no_task_understands_stop_no_worker(service: ServiceProcesses) -> None:
    nameless = json.loads(bare_message({}, 2))
    nameless["body"] = base64.b64encode(b'[["file:///note.png"], {}, {}]').decode()
    unknown = bare_message({}, 2).replace(b"docroute.submit", b"unheard.of")
    for broken in (b'{"body": "e30=", "properties": {}}', unknown, json.dumps(nameless).encode()):
        push(service, broken)
    push(service, bare_message(arguments_of(service, job_id="good"), 2))
    service.start("intake", "fast")
    wait_for(lambda: service.ended() == 2, "the job behind them has ended, and one of them is a failed job")
    assert service.job("good").state == "done"
    (refused,) = service.store.jobs(state="failed")
    assert "arguments without a name" in (refused.error or "")


@needs_children
def test_a_submission_whose_process_dies_before_there_is_a_job_is_taken_again(service: ServiceProcesses) -> None:
    with (service.folder / "documents" / "note.png").open("ab") as file:
        file.truncate(90_000_000)  # fetching takes a while
    (intake, _) = service.start("intake", "fast")
    wait_for(lambda: children_of(intake), "the worker has a process for its tasks")
    queues = BrokerQueues(service.settings.service.broker)
    push(service, bare_message(arguments_of(service, job_id="dies"), 2))
    wait_for(lambda: queues.unacked().count, "the submission is taken")
    os.kill(children_of(intake)[0], signal.SIGKILL)
    queues.close()
    wait_for(lambda: service.ended() == 1, "the job has ended")
    assert service.store.counts()["done"] == 1
