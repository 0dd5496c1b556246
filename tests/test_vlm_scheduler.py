"""Who is read next, without a model."""

from hypothesis import given
from hypothesis import strategies as st

from backends.vlm.scheduler import GroupLimits, Scheduler, Waiting


def waiting(name, arrived_s, tiles=7, tokens=2000, deadline_s=None):
    return Waiting(name, tokens=tokens, tiles=tiles, arrived_s=arrived_s, deadline_s=deadline_s)


def scheduler(*queue, **limits):
    made = Scheduler(GroupLimits(**limits), patience_s=0.1)
    for one in queue:
        made.add(one)
    return made


def names(group):
    return [one.item for one in group]


def test_the_longest_waiting_is_always_in_the_next_group():
    queue = scheduler(waiting("old", 0, tiles=1), *(waiting(f"w{i}", 1 + i, tiles=13) for i in range(8)), documents=4)
    assert names(queue.next_group(4))[0] == "old"


def test_a_group_is_close_by_tiles():
    queue = scheduler(
        waiting("a", 0, tiles=3),
        waiting("b", 1, tiles=13),
        waiting("c", 2, tiles=3),
        waiting("d", 3, tiles=4),
        documents=3,
    )
    assert names(queue.next_group(8)) == ["a", "c", "d"]
    assert names(queue.next_group(8)) == ["b"]


def test_a_group_is_no_larger_than_the_free_slots():
    queue = scheduler(*(waiting(i, i) for i in range(8)), documents=8)
    assert names(queue.next_group(3)) == [0, 1, 2]
    assert queue.next_group(0) == []
    assert len(queue) == 5


def test_padding_to_the_longest_counts_against_the_token_bound():
    queue = scheduler(
        waiting("a", 0, tokens=100), waiting("b", 1, tokens=1000), waiting("c", 2, tokens=100), tokens=1000
    )
    assert names(queue.next_group(8)) == ["a", "c"]


def test_the_tile_bound_holds():
    queue = scheduler(*(waiting(i, i, tiles=7) for i in range(4)), tiles=20)
    assert names(queue.next_group(8)) == [0, 1]


def test_free_memory_bounds_a_group_but_never_the_first_document():
    queue = scheduler(*(waiting(i, i, tokens=2000) for i in range(4)))
    assert names(queue.next_group(8, token_room=4500)) == [0, 1]
    assert names(queue.next_group(8, token_room=10)) == [2]


def test_a_group_that_could_not_go_keeps_its_place():
    queue = scheduler(*(waiting(i, i) for i in range(4)), documents=2)
    group = queue.next_group(2)
    queue.put_back(group)
    assert [one.item for one in queue] == [0, 1, 2, 3]


def test_a_free_slot_waits_for_company_only_as_long_as_patience_lasts():
    queue = scheduler(*(waiting(i, 0) for i in range(4)), documents=4)
    assert not queue.due(free_slots=1, slots_free_since_s=10.0, now_s=10.05, idle=False)
    assert queue.due(free_slots=1, slots_free_since_s=10.0, now_s=10.2, idle=False)
    assert queue.due(free_slots=4, slots_free_since_s=10.0, now_s=10.0, idle=False)
    assert queue.due(free_slots=1, slots_free_since_s=10.0, now_s=10.0, idle=True)
    assert not queue.due(free_slots=0, slots_free_since_s=0.0, now_s=10.0, idle=False)


def test_one_document_alone_does_not_wait_for_others():
    queue = scheduler(waiting("a", 10.0), documents=4)
    assert queue.due(free_slots=2, slots_free_since_s=0.0, now_s=10.0, idle=False)


def test_what_is_cancelled_or_late_leaves_the_queue():
    queue = scheduler(waiting("a", 0, deadline_s=5), waiting("b", 1), waiting("c", 2, deadline_s=20))
    assert names(queue.remove(lambda one: one.expired(10.0))) == ["a"]
    assert [one.item for one in queue] == ["b", "c"]


sizes = st.lists(st.tuples(st.integers(1, 13), st.integers(1, 4000)), min_size=1, max_size=40)


@given(sizes=sizes, free=st.integers(1, 9), documents=st.integers(1, 8))
def test_every_document_goes_exactly_once_within_bounds(sizes, free, documents):
    queue = scheduler(
        *(waiting(i, i, tiles=tiles, tokens=tokens) for i, (tiles, tokens) in enumerate(sizes)),
        documents=documents,
        tokens=8000,
        tiles=30,
    )
    gone = []
    while len(queue):
        oldest = next(iter(queue)).item
        group = queue.next_group(free)
        assert group[0].item == oldest
        assert len(group) <= min(free, documents)
        assert len(group) == 1 or len(group) * max(one.tokens for one in group) <= 8000
        assert len(group) == 1 or sum(one.tiles for one in group) <= 30
        gone += names(group)
    assert sorted(gone) == list(range(len(sizes)))
