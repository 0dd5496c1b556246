"""A submission with a known id: the same request is the same job, another is told so, and no job is ever touched."""

import hashlib
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from bad_inputs import encode, picture
from http_receiver import HttpReceiver, Reply, http_receiver
from steps_world import PAGE, SURE, StepsWorld

from workers import accept as accepting
from workers.accept import accept
from workers.broker import Server
from workers.notifier import Notifier
from workers.service_settings import BrokerSettings
from workers.store_redis import RedisStore

OTHER_PAGE = encode(picture(70, 50), "PNG")
SECRET = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def receiver() -> Iterator[HttpReceiver]:
    with http_receiver() as running:
        yield running


@pytest.fixture
def world(tmp_path: Path, receiver: HttpReceiver) -> StepsWorld:
    (tmp_path / "note.png").write_bytes(PAGE)
    (tmp_path / "copy.png").write_bytes(PAGE)
    (tmp_path / "other.png").write_bytes(OTHER_PAGE)
    (tmp_path / "secret").write_text(SECRET)
    webhooks = {
        "hosts": [receiver.host],
        "secret_file": str(tmp_path / "secret"),
        "allow_http": True,
        "allow_private": True,
    }
    return StepsWorld(tmp_path, [SURE], sources={"file_roots": [str(tmp_path)]}, webhooks=webhooks)


def arguments_of(world: StepsWorld, name: str = "note.png", **more: Any) -> dict[str, Any]:
    return {"uri": (world.folder / name).as_uri(), "schema": "note", "job_id": "job"} | more


def told(world: StepsWorld, receiver: HttpReceiver) -> dict[str, dict[str, Any]]:
    """What each path of the receiver was told."""
    Notifier(world.store, world.runtime.blobs, world.settings.service.webhooks).run_once()
    return {one.path: json.loads(one.body) for one in receiver.received}


WRONG = {
    "a word that is none": {"prio": "high"},
    "a URI that is not allowed": {"uri": "file:///etc/passwd"},
    "a file that is not there": {"uri": "gone.png"},
    "no document": {"uri": None},
    "an original that is not there": {"uri": None, "blob": "f" * 64},
    "no such schema": {"schema": "recipe"},
    "another document": {"uri": "other.png"},
    "another tier": {"tier": "deep"},
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_a_wrong_submission_of_a_known_id_leaves_the_job_that_is_read(
    world: StepsWorld, receiver: HttpReceiver, wrong: dict[str, Any]
) -> None:
    world.submit()
    begun = world.store.begin("job", "intake", "another worker", 600.0, 3)
    assert begun.job is not None
    assert begun.job.lease is not None
    before = world.job()
    bad = arguments_of(world, callback_url=receiver.url("/bad")) | wrong
    if str(bad["uri"]).endswith(".png"):
        bad["uri"] = (world.folder / str(bad["uri"]).rpartition("/")[2]).as_uri()
    outcome = accept(world.runtime, bad, "w")
    assert outcome in {"conflict", "refused"}
    assert world.job() == before
    assert world.store.renew("job", begun.job.lease.token, 600.0), "its worker still has it"
    told_of = told(world, receiver)["/bad"]
    assert (told_of["job_id"], told_of["state"], told_of["result"]) == ("job", outcome, None)
    assert "untouched" in told_of["error"]


def test_a_wrong_submission_does_not_end_a_job_that_waits(world: StepsWorld) -> None:
    world.submit()
    assert accept(world.runtime, arguments_of(world, prio="high"), "w") == "refused"
    assert world.drive() == ["intake: to fast", "fast: done"]


def test_a_conflict_is_told_signed_and_once_however_often_it_is_sent(world: StepsWorld, receiver: HttpReceiver) -> None:
    accept(world.runtime, arguments_of(world), "w")
    other = arguments_of(world, "other.png", callback_url=receiver.url("/other"), metadata={"order": "2"})
    assert [accept(world.runtime, other, "w") for _ in range(3)] == ["conflict"] * 3
    body = told(world, receiver)["/other"]
    assert body["event_id"].endswith(".conflict")
    assert body["metadata"] == {"order": "2"}
    assert "another document" in body["error"]
    assert len(receiver.received) == len(world.store.jobs(state="failed")) == 1
    assert all("v1=" in one.headers["docroute-signature"] for one in receiver.received)
    assert world.kinds().count("conflict") == 3


def test_the_same_request_from_many_senders_calls_them_all(world: StepsWorld, receiver: HttpReceiver) -> None:
    accept(world.runtime, arguments_of(world, callback_url=receiver.url("/1"), metadata={"order": "1"}), "w")
    second = arguments_of(world, callback_url=receiver.url("/2"), metadata={"order": "2"}, priority="high")
    assert accept(world.runtime, second, "w") == "known"
    world.drive()
    third = arguments_of(world, callback_url=receiver.url("/3"))
    assert accept(world.runtime, third, "w") == "known"
    bodies = told(world, receiver)
    assert {path: (body["state"], body["metadata"]) for path, body in bodies.items()} == {
        "/1": ("done", {"order": "1"}),
        "/2": ("done", {"order": "2"}),
        "/3": ("done", {}),
    }
    assert len({body["event_id"] for body in bodies.values()}) == 3
    assert all(body["result"]["fields"] for body in bodies.values())


def test_a_sender_beyond_the_room_for_callbacks_is_told_that_it_is_not_called(
    world: StepsWorld, receiver: HttpReceiver
) -> None:
    for number in range(9):
        accept(world.runtime, arguments_of(world, callback_url=receiver.url(f"/{number}")), "w")
    bodies = told(world, receiver)
    assert bodies["/8"]["state"] == "refused"
    assert "8 callbacks" in bodies["/8"]["error"]
    world.drive()
    assert {body["state"] for path, body in told(world, receiver).items() if path != "/8"} == {"done"}


def test_a_message_that_comes_again_changes_nothing(world: StepsWorld, receiver: HttpReceiver) -> None:
    arguments = arguments_of(world, callback_url=receiver.url("/1"))
    outcomes = [accept(world.runtime, arguments, "w") for _ in range(4)]
    assert outcomes == ["to fast", "known", "known", "known"]
    world.messages = world.messages[:1]
    assert world.drive() == ["fast: done"]
    told(world, receiver)
    assert len(receiver.received) == 1


# -- looked up before anything is fetched


@pytest.fixture
def fetched(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The URIs that were fetched."""
    uris: list[str] = []
    real = accepting.fetch

    def fetch(uri: str, *more: Any) -> bytes:
        uris.append(uri.rpartition("/")[2])
        return real(uri, *more)

    monkeypatch.setattr(accepting, "fetch", fetch)
    return uris


def test_a_known_request_is_not_fetched_again(world: StepsWorld, fetched: list[str]) -> None:
    accept(world.runtime, arguments_of(world), "w")
    (world.folder / "note.png").unlink()
    assert accept(world.runtime, arguments_of(world), "w") == "known"
    assert accept(world.runtime, arguments_of(world, "other.png", tier="deep"), "w") == "conflict"
    assert fetched == ["note.png"]


def test_another_address_of_the_same_document_is_the_same_job(world: StepsWorld, fetched: list[str]) -> None:
    accept(world.runtime, arguments_of(world), "w")
    assert accept(world.runtime, arguments_of(world, "copy.png"), "w") == "known"
    by_id = {"job_id": "job", "blob": hashlib.sha256(PAGE).hexdigest(), "schema": "note"}
    assert accept(world.runtime, by_id, "w") == "known"
    assert fetched == ["note.png", "copy.png"]


def test_an_address_sent_beside_an_original_proves_nothing(world: StepsWorld) -> None:
    original = world.runtime.blobs.put_original(OTHER_PAGE)
    accept(world.runtime, arguments_of(world, blob=original), "w")
    assert accept(world.runtime, arguments_of(world), "w") == "conflict"


# -- refused and mended


def test_a_mended_submission_takes_the_id_that_was_refused(world: StepsWorld, receiver: HttpReceiver) -> None:
    (world.folder / "late.png").touch()
    (world.folder / "late.png").unlink()
    late = arguments_of(world, "late.png", callback_url=receiver.url("/late"))
    assert accept(world.runtime, late, "w") == "refused"
    assert (world.job().state, told(world, receiver)["/late"]["state"]) == ("failed", "failed")
    (world.folder / "late.png").write_bytes(PAGE)
    assert accept(world.runtime, late, "w") == "to fast"
    world.drive()
    assert told(world, receiver)["/late"]["state"] == "done"


def test_a_job_that_failed_keeps_its_id(world: StepsWorld, receiver: HttpReceiver) -> None:
    (world.folder / "broken.png").write_bytes(PAGE[:40])
    assert accept(world.runtime, arguments_of(world, "broken.png"), "w") == "failed"
    assert accept(world.runtime, arguments_of(world), "w") == "conflict"
    again = arguments_of(world, "broken.png", callback_url=receiver.url("/again"))
    assert accept(world.runtime, again, "w") == "known"
    assert told(world, receiver)["/again"]["state"] == "failed"


# -- at the same instant


def test_of_submissions_of_one_id_at_the_same_instant_one_is_the_job(
    world: StepsWorld, receiver: HttpReceiver, broker_settings: BrokerSettings
) -> None:
    receiver.always = Reply()
    world.store = world.runtime.store = RedisStore(Server(broker_settings), world.settings.service.retention)  # type: ignore[assignment]
    pages = ["note.png", "other.png"] * 4
    sent = [
        arguments_of(world, page, callback_url=receiver.url(f"/{number}"), job_id=f"job{number // 8}")
        for number, page in enumerate(pages * 5)
    ]
    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(lambda one: accept(world.runtime, one, "w"), sent))
    for first in range(0, len(sent), 8):
        group = dict(zip(range(8), outcomes[first : first + 8], strict=True))
        made = [number for number, outcome in group.items() if outcome == "to fast"]
        assert len(made) == 1
        assert {group[number] for number in range(8) if number % 2 == made[0] % 2 and number not in made} == {"known"}
        assert {group[number] for number in range(8) if number % 2 != made[0] % 2} == {"conflict"}
