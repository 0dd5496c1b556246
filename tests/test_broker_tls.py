"""`rediss://`: both clients, the store's and Celery's, verify the same; a real server behind a TLS port."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import urllib.request
from base64 import b64encode
from pathlib import Path

import pytest
import redis
import trustme
from steps_world import SURE
from tls_proxy import TlsProxy, ca_file, client_files, server_context
from valkey_server import ValkeyServer, free_port
from worker_processes import page, wait_for

from router.errors import SettingsError, StoreError
from workers.app import make_app
from workers.broker import Server, broker_url, check_access, connect
from workers.broker_errors import broker_problem
from workers.service_settings import BrokerSettings
from workers.settings import Settings

PASSWORD = "pa55 w/rd"


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture(scope="module")
def stranger():
    return trustme.CA()


@pytest.fixture(scope="module")
def valkey():
    server = ValkeyServer(password=PASSWORD).start()
    yield server
    server.stop()


@pytest.fixture
def tls(valkey, authority, tmp_path):
    """A function that starts a TLS port and returns the settings of a client that trusts it."""
    password, ca = tmp_path / "password", ca_file(authority, tmp_path / "ca.pem")
    password.write_text(PASSWORD + "\n")
    with contextlib.ExitStack() as cleanup:

        def start(context, host="localhost", **changes):
            proxy = TlsProxy(valkey.port, context)
            cleanup.callback(proxy.stop)
            own = {"url": f"rediss://{host}:{proxy.port}/0", "password_file": str(password), "ca_file": ca}
            return BrokerSettings(**own | changes)

        yield start


def refused_by_the_store(broker):
    server = Server(broker)
    with pytest.raises(StoreError) as caught:
        server.do(lambda client: client.ping())
    server.close()
    return str(caught.value)


def refused_by_celery(broker):
    app = make_app(Settings.model_validate({"service": {"broker": broker.model_dump()}}))
    with app.connection_for_write() as connection, pytest.raises(redis.RedisError):
        connection.connect()


def both_refuse(broker, told):
    assert told in refused_by_the_store(broker)
    refused_by_celery(broker)
    with pytest.raises(SettingsError) as caught:
        check_access(broker)
    line = str(caught.value)
    assert told in line
    assert "\n" not in line
    assert PASSWORD not in line


def test_a_certificate_of_another_authority_is_refused_by_both(tls, stranger):
    both_refuse(tls(server_context(stranger, "localhost")), "shows a certificate that is not trusted")


def test_without_a_ca_of_its_own_the_systems_authorities_decide(tls, authority):
    both_refuse(tls(server_context(authority, "localhost"), ca_file=None), "check broker.ca_file")


def test_a_certificate_of_another_host_is_refused_by_both(tls, authority):
    both_refuse(tls(server_context(authority, "valkey.example")), "Hostname mismatch")
    both_refuse(tls(server_context(authority, "localhost"), host="127.0.0.1"), "IP address mismatch")


def test_an_expired_certificate_is_refused_by_both(tls, authority):
    both_refuse(tls(server_context(authority, "localhost", expired=True)), "certificate has expired")


def test_a_client_certificate_that_is_missing_or_a_strangers_is_told(tls, authority, stranger, tmp_path):
    wants_one = server_context(authority, "localhost", clients=authority)
    both_refuse(tls(wants_one), "broker.certificate_file")
    both_refuse(tls(wants_one, **client_files(stranger, tmp_path, "stranger")), "broker.certificate_file")


def test_a_server_that_is_away_or_has_no_tls_is_not_taken_for_one_that_refuses(tls, valkey, authority):
    broker = tls(server_context(authority, "localhost"))
    away = broker.model_copy(update={"url": f"rediss://localhost:{free_port()}/0"})
    assert "is the server running?" in refused_by_the_store(away)
    check_access(away)
    plain = broker.model_copy(update={"url": f"rediss://localhost:{valkey.port}/0"})
    with pytest.raises(redis.RedisError) as caught:
        connect(plain, timeout_s=0.5).ping()
    assert "does not answer the TLS handshake" in broker_problem("rediss://localhost", caught.value)


def test_a_tls_port_under_a_plain_url_is_told(tls, authority):
    broker = tls(server_context(authority, "localhost"))
    plain = BrokerSettings(url=broker.url.replace("rediss", "redis"), password_file=broker.password_file)
    assert "rediss://" in refused_by_the_store(plain)


def test_both_are_told_to_verify_whatever_the_system_says(tls, authority, monkeypatch):
    broker = tls(server_context(authority, "localhost"))
    app = make_app(Settings.model_validate({"service": {"broker": broker.model_dump()}}))
    options = connect(broker).connection_pool.connection_kwargs
    for told in (app.conf.broker_use_ssl, options):
        assert (told["ssl_cert_reqs"].name, told["ssl_check_hostname"]) == ("CERT_REQUIRED", True)
        assert told["ssl_ca_certs"] == broker.ca_file


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"url": "redis://localhost/0"}, "broker.url asks for no TLS"),
        ({"url": "rediss://localhost/0?ssl_cert_reqs=none"}, "may say nothing of TLS"),
        ({"url": "rediss://localhost/0?ssl_check_hostname=false"}, "may say nothing of TLS"),
        ({"ca_file": "/no/such"}, "broker.ca_file /no/such cannot be used: No such file"),
        ({"ca_file": __file__}, "it holds no usable PEM"),
        ({"certificate_file": __file__}, "it holds no usable PEM"),
        ({"key_file": __file__}, "without broker.certificate_file"),
    ],
)
def test_settings_that_would_not_verify_or_cannot_be_used_are_errors(authority, tmp_path, changes, told):
    own = {"url": "rediss://localhost/0", "ca_file": ca_file(authority, tmp_path / "ca.pem")}
    broker = BrokerSettings(**own | changes)
    for use in (
        connect,
        lambda broker: make_app(Settings.model_validate({"service": {"broker": broker.model_dump()}})),
    ):
        with pytest.raises(SettingsError, match=told):
            use(broker)


def test_a_key_with_a_passphrase_is_refused_and_asks_nobody(authority, tmp_path):
    from cryptography.hazmat.primitives import serialization

    files = client_files(authority, tmp_path)
    key = serialization.load_pem_private_key(Path(files["key_file"]).read_bytes(), None)
    locked = serialization.BestAvailableEncryption(b"secret")
    form = serialization.PrivateFormat.PKCS8
    (tmp_path / "client.key").write_bytes(key.private_bytes(serialization.Encoding.PEM, form, locked))
    with pytest.raises(SettingsError, match="must have no passphrase"):
        connect(BrokerSettings(url="rediss://localhost/0", **files))


def test_user_and_password_of_files_take_the_place_of_those_in_the_url(tmp_path):
    (tmp_path / "password").write_text("p@ss\n")
    broker = BrokerSettings(
        url="rediss://old:older@valkey:6379/1", username="wörker", password_file=f"{tmp_path}/password"
    )
    assert broker_url(broker) == "rediss://w%C3%B6rker:p%40ss@valkey:6379/1"
    only_user = BrokerSettings(url="redis://:secret@valkey:6379/1", username="worker")
    assert broker_url(only_user) == "redis://worker:secret@valkey:6379/1"


def docroute(service, *arguments):
    command = [sys.executable, "-W", "ignore", "-m", "workers.cli", *arguments]
    environment = os.environ | service.environment
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)


def answers(url, user=None):
    request = urllib.request.Request(url)
    if user is not None:
        request.add_header("Authorization", "Basic " + b64encode(user.encode()).decode())
    with contextlib.suppress(OSError), urllib.request.urlopen(request, timeout=5) as answer:
        return answer.read().decode()
    return ""


def test_client_worker_doctor_metrics_and_flower_work_with_a_client_certificate(service, tls, authority, tmp_path):
    broker = tls(server_context(authority, "localhost", clients=authority), **client_files(authority, tmp_path))
    metrics, flower = free_port(), free_port()
    (tmp_path / "auth").write_text("operator:operators-own\n")
    told = {f"DOCROUTE_SERVICE__BROKER__{name.upper()}": str(getattr(broker, name)) for name in FILES}
    told |= {"DOCROUTE_SERVICE__FLOWER__AUTH_FILE": f"{tmp_path}/auth", "DOCROUTE_SERVICE__FLOWER__PORT": str(flower)}
    made = service(SURE, broker=broker.model_copy(update={"key_prefix": "tls:"}), **told)
    made.start("intake", "fast")
    (tmp_path / "page.png").write_bytes(page(1))
    with started(made, "metrics", "--port", str(metrics)), started(made, "flower"):
        read = docroute(made, "submit", f"{tmp_path}/page.png", "--schema", "note", "--wait", "--json")
        assert json.loads(read.stdout)["fields"]["number"]["value"] == "A-1", read.stderr
        checks = json.loads(docroute(made, "doctor", "--json").stdout)["checks"]
        assert [check["state"] for check in checks if check["name"] in ("broker", "celery")] == ["ok", "ok"]
        wait_for(lambda: "docroute_queue_depth" in answers(f"http://127.0.0.1:{metrics}/metrics"), "metrics")
        page_of_queues = f"http://127.0.0.1:{flower}/broker"
        wait_for(lambda: "intake" in answers(page_of_queues, "operator:operators-own"), "Flower reads the queues")


FILES = ("password_file", "ca_file", "certificate_file", "key_file")


@contextlib.contextmanager
def started(service, *arguments):
    command = [sys.executable, "-W", "ignore", "-m", "workers.cli", *arguments]
    with service.log.open("ab") as log:
        process = subprocess.Popen(command, env=os.environ | service.environment, stdout=log, stderr=log)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("command", [("worker", "fast"), ("flower",), ("list",)])
def test_a_command_ends_with_one_line_where_the_certificate_is_not_trusted(service, tls, stranger, command, tmp_path):
    broker = tls(server_context(stranger, "localhost"))
    (tmp_path / "auth").write_text("operator:operators-own\n")
    told = {f"DOCROUTE_SERVICE__BROKER__{name.upper()}": str(getattr(broker, name)) for name in FILES[:2]}
    made = service(broker=broker, DOCROUTE_SERVICE__FLOWER__AUTH_FILE=f"{tmp_path}/auth", **told)
    ended = docroute(made, *command)
    assert ended.returncode in (2, 3)  # what is set wrong; the broker
    (line,) = ended.stderr.strip().splitlines()
    assert "shows a certificate that is not trusted" in line
    assert socket.gethostname() not in line


def test_a_connection_that_is_cut_at_once_says_what_else_it_may_be():
    cut = redis.ConnectionError("Error while reading from valkey:6379 : (104, 'Connection reset by peer')")
    assert "want a client certificate" in broker_problem("rediss://valkey:6379/0", cut)
    assert "speak TLS" in broker_problem("redis://valkey:6379/0", cut)
