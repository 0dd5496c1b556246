"""One body of tests over every store: receivers of webhooks have their turns, and one that fails is left alone."""

import pytest
from store_world import EXPIRED_S, LONG_S, SHORT_S

from workers import store_webhooks as rules

GOOD = "https://good.example/hook"
GONE = "https://gone.example/hook"


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch):
    monkeypatch.setattr(rules, "FIRST_PAUSE_S", SHORT_S)
    monkeypatch.setattr(rules, "LONGEST_PAUSE_S", 4 * SHORT_S)


def finished(world, count, url, name):
    """Jobs that ended as dead letters, which are kept for longer than results."""
    for number in range(count):
        world.create(f"{name}{number}", callback_url=f"{url}/{number}")
        world.store.fail(f"{name}{number}", world.begin(f"{name}{number}"), "x")


def due(world, limit=9, claim_s=LONG_S, **more):
    return [hook.id for hook in world.store.due_webhooks(limit, claim_s, **more)]


def fail(world, names):
    for name in names:
        world.store.webhook_retry(name, 0.0, "no answer", "failed")


def open_breaker(world):
    finished(world, rules.BREAK_AFTER + 3, GONE, "bad")
    for _ in range(rules.BREAK_AFTER):
        fail(world, due(world, limit=1))


def test_receivers_have_their_turns_however_much_is_due_for_one(world):
    finished(world, 12, GONE, "bad")
    finished(world, 2, GOOD, "good")
    assert due(world, limit=4) == ["bad0", "good0", "bad1", "good1"]


def test_with_more_receivers_than_room_all_have_their_turns(world):
    for host in "abc":
        finished(world, 3, f"https://{host}.example", host)
    assert due(world, limit=2) == ["a0", "b0"]
    assert due(world, limit=2)[0] == "c0"
    assert len(due(world, limit=9, per_receiver=9)) == 5


def test_a_receiver_has_so_many_claims_at_a_time_and_an_end_frees_one(world):
    finished(world, 6, GONE, "bad")
    assert due(world, per_receiver=2) == ["bad0", "bad1"]
    assert due(world, per_receiver=2) == []
    world.store.webhook_sent("bad0")
    assert due(world, per_receiver=2) == ["bad2"]
    world.store.webhook_dead("bad1", "410", "answered")
    world.store.webhook_retry("bad2", LONG_S, "404", "answered")
    assert due(world, per_receiver=2) == ["bad3", "bad4"]


def test_a_claim_that_runs_out_frees_its_room(world):
    finished(world, 2, GONE, "bad")
    assert due(world, claim_s=SHORT_S, per_receiver=1) == ["bad0"]
    assert due(world, per_receiver=1) == []
    world.sleep(2 * SHORT_S)
    assert len(due(world, per_receiver=1)) == 1


def test_other_spellings_of_a_host_are_the_same_receiver(world):
    for number, host in enumerate(("gone.example", "GONE.example", "gone.example:443", "gone.example.")):
        world.bring_to("done", f"bad{number}", callback_url=f"https://{host}/x")
    assert len(due(world, per_receiver=1)) == 1
    (receiver,) = world.store.receivers()
    assert (receiver.place, receiver.waiting, receiver.open_until) == ("gone.example", 4, 0.0)


def test_a_url_that_is_none_is_given_out_to_be_refused(world):
    world.bring_to("done", callback_url="nonsense with spaces")
    (hook,) = world.store.due_webhooks(9, LONG_S)
    assert hook.url == "nonsense with spaces"


def test_a_receiver_that_fails_again_and_again_is_left_alone_and_no_other(world):
    open_breaker(world)
    finished(world, 1, GOOD, "good")
    assert due(world) == ["good0"]
    gone = next(receiver for receiver in world.store.receivers() if receiver.place == "gone.example")
    assert gone.failures == rules.BREAK_AFTER
    assert gone.open_until > world.store.now()


def test_after_its_pause_one_try_tells_whether_it_is_back(world):
    open_breaker(world)
    world.sleep(1.2 * SHORT_S)
    (probe,) = due(world)
    assert due(world) == [], "one at a time"
    world.store.webhook_sent(probe)
    assert len(due(world)) == 4, "it is back"


def test_pauses_grow_while_it_is_not_back(world):
    open_breaker(world)
    world.sleep(1.2 * SHORT_S)
    fail(world, due(world))
    (gone,) = world.store.receivers()
    assert gone.open_until - world.store.now() > 1.5 * SHORT_S
    assert due(world) == []


def test_tries_that_were_under_way_when_it_was_left_alone_say_nothing_new(world):
    finished(world, 20, GONE, "bad")
    under_way = due(world, limit=20, per_receiver=20)
    fail(world, under_way)
    (gone,) = world.store.receivers()
    assert gone.failures == rules.BREAK_AFTER
    assert gone.open_until - world.store.now() <= SHORT_S


def test_answers_of_a_receiver_that_lives_do_not_count_as_failures(world):
    finished(world, 9, GOOD, "good")
    for did in ("failed", "failed", "answered", "", "failed") * 3:
        (name,) = due(world, limit=1)
        world.store.webhook_retry(name, 0.0, "no", did)
    assert world.store.receivers()[0].open_until == 0.0


def test_the_time_of_the_first_try_is_kept(world):
    world.bring_to("done", callback_url=GOOD)
    (first,) = world.store.due_webhooks(9, LONG_S)
    world.store.webhook_retry("job", 0.0, "404", "answered")
    world.sleep(SHORT_S)
    (second,) = world.store.due_webhooks(9, LONG_S)
    assert first.since == second.since == pytest.approx(world.store.now(), abs=60)
    world.store.webhook_dead("job", "404")
    assert world.store.revive_webhook("job")
    (third,) = world.store.due_webhooks(9, LONG_S)
    assert third.since > first.since


def test_what_ends_with_its_job_untold_is_counted(world):
    world.bring_to("done", callback_url=GOOD)
    world.sleep(EXPIRED_S)
    assert world.store.purge(9) == 1
    assert world.store.statistics()["webhooks_failed"] == 1
    assert world.store.receivers() == [] or due(world) == []
