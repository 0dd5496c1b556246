"""One body of tests over every store: what a known id means, and who is told of its end."""

import pytest
from store_world import EXPIRED_S, LONG_S

from router.errors import CallbackError, ConflictError
from workers.jobs import JobSpec
from workers.request import MOST_CALLBACKS, Request, request_of

HOOK = "https://example.org/hook"
FETCHED = Request(digest="d" * 16, source="u" * 16)


def spec(document="a", **more):
    return JobSpec(document_id=document * 64, **more)


def hooks(world):
    return {(hook.id, hook.url) for hook in world.store.due_webhooks(20, LONG_S, per_receiver=20)}


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (spec("b"), "another document"),
        (spec(schema_name="invoice"), "another schema"),
        (spec(tier="deep"), "another tier"),
    ],
)
def test_another_request_with_a_known_id_is_a_conflict_and_changes_nothing(world, other, said):
    world.create()
    token = world.begin()
    before = world.store.get("job")
    with pytest.raises(ConflictError, match=said):
        world.store.create("job", other.model_copy(update={"callback_url": HOOK}))
    assert world.store.get("job") == before
    assert world.kinds() == ["created", "started", "conflict"]
    assert world.store.finish("job", token, "done", "r", None, {})
    assert hooks(world) == set()


def test_a_schema_that_was_changed_meanwhile_is_a_conflict(world):
    world.store.create("job", spec(), request_of(spec(), "one"))
    with pytest.raises(ConflictError, match="version of its schema"):
        world.store.create("job", spec(), request_of(spec(), "two"))


def test_what_only_changes_how_a_job_is_served_is_no_conflict(world):
    world.create()
    known, new = world.store.create("job", spec(priority="high", metadata={"a": "b"}, uri="other"))
    assert (new, known.spec) == (False, spec())
    assert world.kinds() == ["created", "resubmitted"]


def test_conflicts_without_end_do_not_grow_the_log_without_end(world):
    world.create()
    for _ in range(250):
        with pytest.raises(ConflictError):
            world.store.create("job", spec("b"))
    assert len(world.kinds()) == 200


def test_a_sender_who_asks_again_and_again_does_not_grow_the_log_without_end(world):
    world.create(callback_url=HOOK)
    while len(world.kinds()) < 297:
        world.store.retry("job", world.begin_again(), 0.0, "error")
    world.store.cancel("job")
    for _ in range(3):
        (hook,) = world.store.due_webhooks(9, LONG_S)
        world.store.webhook_sent(hook.id)
        world.store.create("job", spec(callback_url=HOOK))
    assert world.kinds()[-3:] == ["cancelled", "notified", "notified"]


def test_every_sender_of_a_job_is_told_once_with_its_own_words(world):
    world.create(callback_url=HOOK, metadata={"order": "1"})
    token = world.begin()
    for order in "122":
        world.store.create("job", spec(callback_url=HOOK, metadata={"order": order}))
    world.store.create("job", spec(callback_url=HOOK + "/other"))
    assert hooks(world) == set()
    assert world.store.finish("job", token, "done", "r", None, {})
    due = {hook.id: (hook.url, hook.metadata, hook.attempts) for hook in world.store.due_webhooks(9, LONG_S)}
    assert due == {
        "job": (HOOK, None, 1),
        "job.2": (HOOK, {"order": "2"}, 1),
        "job.3": (HOOK + "/other", {}, 1),
    }


def test_the_notifications_of_one_job_go_their_own_ways(world):
    store = world.store
    world.bring_to("done", callback_url=HOOK)
    store.create("job", spec(callback_url=HOOK + "/2"))
    store.create("job", spec(callback_url=HOOK + "/3"))
    assert len(hooks(world)) == 3
    store.webhook_sent("job")
    store.webhook_retry("job.2", 0.0, "503")
    store.webhook_dead("job.3", "410")
    assert [(hook.id, hook.attempts, hook.error) for hook in store.due_webhooks(9, LONG_S)] == [("job.2", 2, "503")]
    assert [hook.id for hook in store.dead_webhooks()] == ["job.3"]
    assert store.revive_webhook("job.3")
    assert hooks(world) == {("job.3", HOOK + "/3")}
    store.webhook_dead("job.3", "410")
    assert store.drop_webhook("job.3")
    assert not store.drop_webhook("job.4")
    assert world.kinds()[-3:] == ["unnotified", "unnotified", "dropped"]


def test_a_sender_that_comes_after_the_end_is_told_at_once(world):
    world.bring_to("done")
    world.store.create("job", spec(callback_url=HOOK))
    assert hooks(world) == {("job", HOOK)}
    world.store.create("job", spec(callback_url=HOOK))
    assert hooks(world) == set(), "it is on its way"
    world.store.webhook_sent("job")
    world.store.create("job", spec(callback_url=HOOK))
    (hook,) = world.store.due_webhooks(9, LONG_S)
    assert (hook.id, hook.attempts) == ("job", 1), "who asks again has not heard of it"
    world.store.webhook_dead("job", "503")
    world.store.create("job", spec(callback_url=HOOK))
    assert hooks(world) == {("job", HOOK)}
    assert world.store.dead_webhooks() == []


def test_a_job_has_room_for_so_many_callbacks_and_says_so(world):
    world.create(callback_url=f"{HOOK}/1")
    for number in range(2, MOST_CALLBACKS + 1):
        world.store.create("job", spec(callback_url=f"{HOOK}/{number}"))
    with pytest.raises(CallbackError, match=f"{MOST_CALLBACKS} callbacks"):
        world.store.create("job", spec(callback_url=f"{HOOK}/more"))
    assert not world.store.create("job", spec(callback_url=f"{HOOK}/3"))[1], "one that it has"
    assert not world.store.create("job", spec())[1]
    world.store.cancel("job")
    assert {url for _, url in hooks(world)} == {f"{HOOK}/{number}" for number in range(1, MOST_CALLBACKS + 1)}


def test_a_job_that_is_revived_tells_every_sender_when_it_ends_anew(world):
    world.create(callback_url=HOOK)
    world.store.create("job", spec(callback_url=HOOK + "/2"))
    world.store.fail("job", world.begin(), "x")
    assert len(hooks(world)) == 2
    assert world.store.revive("job")
    assert hooks(world) == set()
    world.store.finish("job", world.begin(), "done", "r", None, {})
    assert {(hook.id, hook.attempts) for hook in world.store.due_webhooks(9, LONG_S)} == {("job", 1), ("job.2", 1)}


# -- known before the document is


def test_a_known_source_is_the_same_job_without_its_document(world):
    store, asked = world.store, Request(source=FETCHED.source)
    assert store.join("job", spec("0"), asked) is None
    store.create("job", spec(), FETCHED)
    joined = store.join("job", spec("0", callback_url=HOOK), asked)
    assert joined is not None
    assert joined.spec == spec()
    assert store.join("job", spec("0"), Request(source="v" * 16)) is None, "it may name the same document"
    assert store.join("job", spec(), Request(digest=FETCHED.digest)) is not None
    with pytest.raises(ConflictError):
        store.join("job", spec("b"), Request(digest="e" * 16))
    world.store.cancel("job")
    assert hooks(world) == {("job", HOOK)}


def test_two_jobs_without_a_source_are_not_the_same_by_it(world):
    world.create()
    assert world.store.join("job", spec("0"), Request()) is None


# -- refused


def test_a_refused_submission_is_a_failed_job_that_never_waited(world):
    assert world.store.refuse("job", spec("0", callback_url=HOOK), "request", "no such file")
    refused = world.store.get("job")
    assert (refused.state, refused.error, refused.attempts) == ("failed", "no such file", 0)
    assert world.kinds() == ["created", "failed"]
    assert world.store.due(9, 0) == world.store.waiting("intake", 9) == []
    assert hooks(world) == {("job", HOOK)}
    world.sleep(EXPIRED_S)
    assert world.store.purge(9) == 1


def test_a_refused_submission_of_a_known_id_leaves_the_job_alone(world):
    world.create()
    token = world.begin()
    before = world.store.get("job")
    assert not world.store.refuse("job", spec("0", callback_url=HOOK), "request", "no such file")
    assert world.store.get("job") == before
    assert world.kinds() == ["created", "started", "refused"]
    assert world.store.finish("job", token, "done", "r", None, {})
    assert hooks(world) == set()


def test_the_same_refused_submission_again_is_one_record_and_its_sender_is_told_again(world):
    wrong = spec("0", callback_url=HOOK)
    world.store.refuse("job", wrong, "request", "no such file")
    assert hooks(world) == {("job", HOOK)}
    world.store.webhook_sent("job")
    assert world.store.refuse("job", wrong, "request", "no such file")
    assert hooks(world) == {("job", HOOK)}
    assert world.kinds() == ["created", "failed", "notified", "resubmitted"]


def test_an_id_that_was_refused_is_free_for_the_mended_submission(world):
    store = world.store
    store.refuse("job", spec("0", callback_url=HOOK), "request", "no such file")
    store.refuse("job", spec("0", callback_url=HOOK), "other", "not allowed")
    assert store.get("job").error == "not allowed"
    assert store.join("job", spec(), Request(digest="d" * 16)) is None
    assert store.get("job").error == "not allowed"
    job, new = store.create("job", spec())
    assert (job.state, new) == ("received", True)
    assert hooks(world) == set()
    assert sum(store.counts().values()) == len(store.jobs()) == 1
    assert world.kinds() == ["created"]
    world.begin()
