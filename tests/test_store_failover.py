"""A server that takes over without the last writes of the one before: whoever has a lease that it missed is told so."""

import copy
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis
from store_world import LONG_S, World

from workers.service_settings import BrokerSettings
from workers.store_memory import MemoryStore


@pytest.fixture
def memory(world: World, request: pytest.FixtureRequest) -> Iterator[Callable[[], Callable[[], None]]]:
    """A function that keeps what the store has now, and returns one that makes it all that the store ever had."""
    if isinstance(world.store, MemoryStore):
        yield lambda: _in_memory(world.store)
        return
    broker: BrokerSettings = request.getfixturevalue("broker_settings")
    with redis.Redis.from_url(broker.url) as client:
        yield lambda: _on_server(client, broker.key_prefix)


def _in_memory(store: Any) -> Callable[[], None]:
    kept = copy.deepcopy(store._records)

    def take_over() -> None:
        store._records = kept

    return take_over


def _on_server(client: redis.Redis, prefix: str) -> Callable[[], None]:
    kept: dict[Any, Any] = {key: client.dump(key) for key in client.scan_iter(f"{prefix}*")}

    def take_over() -> None:
        for key in client.scan_iter(f"{prefix}*"):
            client.delete(key)
        for key, value in kept.items():
            client.restore(key, 0, value)

    return take_over


def test_the_holder_of_a_missed_lease_and_the_next_one_never_share_a_token(world, memory):
    world.create()
    take_over = memory()
    missed = world.begin()
    take_over()
    following = world.begin()
    assert following != missed
    assert not world.store.renew("job", missed, LONG_S)
    assert not world.store.finish("job", missed, "done", f"results/job.{missed}.json", 0.9, {})
    assert world.store.finish("job", following, "done", f"results/job.{following}.json", 0.9, {})
    assert world.store.get("job").result_blob == f"results/job.{following}.json"
    assert [kind for kind in world.kinds() if kind != "late"] == ["created", "started", "finished"]


def test_an_end_that_was_missed_is_done_again_and_its_token_is_known_as_spent(world, memory):
    world.create()
    first = world.begin(lease_s=0)
    take_over = memory()
    assert world.store.finish("job", first, "done", "missed", 0.9, {})
    take_over()
    second = world.begin()
    assert world.store.get("job").spent_tokens == (first,)
    assert world.store.finish("job", second, "done", "kept", 0.9, {})
    assert world.kinds().count("finished") == 1


def test_a_step_whose_end_is_sent_again_to_a_server_that_missed_it_ends_once(world, memory):
    world.create()
    token = world.begin()
    take_over = memory()
    assert world.store.advance("job", token, "fast", False, {"x": 1})
    take_over()
    assert world.store.advance("job", token, "fast", False, {"x": 1})
    assert world.store.advance("job", token, "fast", False, {"x": 1})
    assert world.kinds() == ["created", "started", "advanced"]
