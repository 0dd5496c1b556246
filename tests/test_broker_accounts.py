"""The users of docker/valkey-users.acl: each does its work with its rights alone, and nothing else."""

import contextlib
import json
import os
import re
import subprocess
import sys
import urllib.request
from base64 import b64encode
from pathlib import Path

import pytest
import redis
from steps_world import SURE
from valkey_server import ValkeyServer, free_port
from worker_processes import ServiceProcesses, page, wait_for

from router.errors import StoreError
from workers.service_settings import BrokerSettings
from workers.settings import load_settings
from workers.store_redis import make_store

ROOT = Path(__file__).resolve().parent.parent
USERS = (ROOT / "docker" / "valkey-users.acl").read_text().splitlines()
ROLES = ("sender", "client", "worker", "operator", "metrics", "flower")
PASSWORD = "one-for-all-of-this-test"
SENDER = """
import sys
from celery import Celery
app = Celery(broker=sys.argv[1])
app.conf.broker_transport_options = {"global_keyprefix": "docroute:", "queue_order_strategy": "priority"}
arguments = {"uri": sys.argv[2], "job_id": "order-4711", "schema": "note"}
app.send_task("docroute.submit", kwargs=arguments, queue="intake", priority=3, ignore_result=True)
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server with the users of the file, each with a password."""
    users = tmp_path_factory.mktemp("acl") / "users.acl"
    users.write_text("".join(f"{line} >{PASSWORD}\n" for line in USERS))
    made = ValkeyServer(password=PASSWORD, user="docroute-admin", options=("--aclfile", str(users))).start()
    yield made
    made.stop()


def url_of(server, role):
    return f"redis://docroute-{role}:{PASSWORD}@127.0.0.1:{server.port}/0"


@pytest.fixture
def admin(server):
    with contextlib.closing(server.client()) as client:
        client.flushall()
        client.acl_log_reset()
        yield client


@pytest.fixture
def as_role(server):
    with contextlib.ExitStack() as cleanup:

        def connect(role):
            client = redis.Redis.from_url(url_of(server, role), decode_responses=True)
            return cleanup.enter_context(contextlib.closing(client))

        yield connect


@pytest.fixture
def service(server, admin, tmp_path):
    """A service whose workers are docroute-worker; what looks at it here is the administrator."""
    own = {"DOCROUTE_SERVICE__FLOWER__AUTH_FILE": f"{tmp_path}/auth"}
    (tmp_path / "auth").write_text("operator:operators-own\n")
    made = ServiceProcesses(tmp_path, BrokerSettings(url=server.url), [SURE], **own)
    yield made
    made.stop()


def command(service, role, *arguments):
    own = {"DOCROUTE_SERVICE__BROKER__USERNAME": f"docroute-{role}"}
    line = [sys.executable, "-W", "ignore", "-m", "workers.cli", *arguments]
    return {"args": line, "env": os.environ | service.environment | own}


def docroute(service, role, *arguments):
    call = command(service, role, *arguments)
    return subprocess.run(**call, capture_output=True, text=True, check=False, timeout=120)


@contextlib.contextmanager
def running(service, role, *arguments):
    with service.log.open("ab") as log:
        process = subprocess.Popen(**command(service, role, *arguments), stdout=log, stderr=log)
    try:
        yield
    finally:
        process.kill()
        process.wait()


def answer(port, path):
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}")
    request.add_header("Authorization", "Basic " + b64encode(b"operator:operators-own").decode())
    with contextlib.suppress(OSError), urllib.request.urlopen(request, timeout=5) as answered:
        return answered.read().decode()
    return ""


def denied(admin):
    """What users were denied; Flower may not take the answers of workers, and does without."""
    found = [(entry["username"], entry["reason"], entry["object"]) for entry in admin.acl_log()]
    return [entry for entry in found if entry[0] != "docroute-flower"]


def test_each_role_does_its_work_and_is_denied_nothing(service, server, admin, tmp_path):
    worker = {"DOCROUTE_SERVICE__BROKER__USERNAME": "docroute-worker"}
    service.start("intake", "fast", **worker)
    for number, name in enumerate(("page.png", "documents/sent.png")):
        (tmp_path / name).write_bytes(page(number))
    metrics, flower = free_port(), free_port()
    watching = (
        running(service, "metrics", "metrics", "--port", str(metrics)),
        running(service, "flower", "flower", "--port", str(flower)),
    )
    with watching[0], watching[1]:
        read = docroute(service, "client", "submit", f"{tmp_path}/page.png", "--schema", "note", "--wait", "--json")
        assert json.loads(read.stdout)["fields"]["number"]["value"] == "A-1", read.stderr
        sent = (tmp_path / "documents" / "sent.png").as_uri()
        program = [sys.executable, "-c", SENDER, url_of(server, "sender"), sent]
        subprocess.run(program, cwd=tmp_path, check=True, timeout=60)
        wait_for(lambda: service.ended() == 2, "what was sent is read")
        assert service.job("order-4711").state == "done"
        checks = json.loads(docroute(service, "operator", "doctor", "--json").stdout)["checks"]
        assert {check["state"] for check in checks if check["name"] in ("broker", "celery", "fast workers")} == {"ok"}
        for told in (("list",), ("dead", "list"), ("status", "order-4711"), ("cancel", "order-4711")):
            assert "allow" not in docroute(service, "operator", *told).stderr, told
        wait_for(lambda: 'docroute_jobs{state="done"} 2' in answer(metrics, "/metrics"), "metrics are read")
        wait_for(lambda: "intake" in answer(flower, "/broker"), "Flower reads the queues")
        wait_for(lambda: "fast-" in answer(flower, "/workers"), "Flower hears the workers")
    assert denied(admin) == []


FOR_ADMINISTRATORS = (
    ("FLUSHALL",),
    ("CONFIG", "GET", "requirepass"),
    ("KEYS", "*"),
    ("ACL", "LIST"),
    ("SHUTDOWN", "NOSAVE"),
    ("SCRIPT", "FLUSH"),
    ("MODULE", "LIST"),
    ("MONITOR",),
    ("REPLICAOF", "NO", "ONE"),
    ("GET", "another-service"),
    ("SET", "another-service", "1"),
    ("PUBLISH", "another-service", "1"),
    ("EVAL", "return redis.call('GET', 'another-service')", "0"),
)
FOR_OTHERS = {
    "sender": (
        ("HGETALL", "docroute:j:order-4711"),
        ("LRANGE", "docroute:intake", "0", "-1"),
        ("RPOP", "docroute:intake"),
        ("DEL", "docroute:intake"),
        ("SADD", "docroute:intake", "1"),
        ("LPUSH", "docroute:fast", "1"),
        ("LPUSH", "docroute:_kombu.binding.intake", "1"),
        ("EVAL", "return 1", "0"),
        ("PUBLISH", "docroute:/0.celery.pidbox", "1"),
    ),
    "client": (("BRPOP", "docroute:intake", "1"), ("PUBLISH", "docroute:/0.celery.pidbox", "1")),
    "worker": (("INFO",),),
    "operator": (),
    "metrics": (("DEL", "docroute:intake"), ("HSET", "docroute:n", "a", "1"), ("EVAL", "return 1", "0")),
    "flower": (
        ("LPUSH", "docroute:intake", "1"),
        ("HSET", "docroute:j:order-4711", "st", "done"),
    ),
}


@pytest.mark.parametrize("role", ROLES)
def test_what_a_role_does_not_need_is_denied(role, as_role, admin):
    client = as_role(role)
    for wanted in (*FOR_ADMINISTRATORS, *FOR_OTHERS[role]):
        with pytest.raises((redis.exceptions.NoPermissionError, redis.ResponseError), match=r"(?i)permission"):
            client.execute_command(*wanted)


@pytest.mark.parametrize("role", ["client", "worker", "operator"])
def test_every_command_of_the_scripts_is_allowed_to_those_that_run_them(role, admin):
    scripts = "".join(path.read_text() for path in (ROOT / "workers" / "lua").glob("*.lua"))
    names = sorted(set(re.findall(r"redis\.p?call\(\s*'([A-Za-z]+)'", scripts)))
    assert len(names) > 10
    for name in names:
        arity = abs(int(admin.execute_command("COMMAND", "INFO", name)[name.lower()]["arity"]))
        words = ["docroute:x"] * (arity - 1)
        told = admin.execute_command("ACL", "DRYRUN", f"docroute-{role}", name, *words)
        assert told == "OK", (name, told)


def test_a_right_that_is_missing_is_named_in_one_line(service):
    told = docroute(service, "sender", "list").stderr.strip()
    assert "does not allow its user what is needed (the command " in told
    assert len(told.splitlines()) == 1
    assert PASSWORD not in told


def test_a_worker_with_too_few_rights_ends_with_one_line(service):
    ended = docroute(service, "sender", "worker", "fast")
    assert ended.returncode == 2
    (line,) = ended.stderr.strip().splitlines()
    assert "does not allow its user what is needed (the command time)" in line


def test_a_wrong_user_or_password_is_one_line(server):
    for wrong in ("nobody", "docroute-worker:wrong"):
        name = f"{wrong}:{PASSWORD}" if ":" not in wrong else wrong
        broker = BrokerSettings(url=f"redis://{name}@127.0.0.1:{server.port}/0")
        settings = load_settings({}).service.model_copy(update={"broker": broker})
        with contextlib.closing(make_store(settings)) as store, pytest.raises(StoreError, match="refused the user"):
            store.get("x")


def test_without_its_line_no_user_may_do_anything(server):
    with contextlib.closing(redis.Redis(port=server.port)) as client, pytest.raises(redis.AuthenticationError):
        client.ping()


def test_those_who_find_the_master_and_wait_for_replicas_may(admin):
    def may(role, *command):
        return admin.execute_command("ACL", "DRYRUN", f"docroute-{role}", *command) in {"OK", True}

    assert [role for role in ROLES if may(role, "ROLE")] == [role for role in ROLES if role != "sender"]
    assert [role for role in ROLES if may(role, "WAIT", "1", "1")] == ["client", "worker", "operator"]
