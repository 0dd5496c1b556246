"""The engine on a CPU with tiny models of both families: the same rounds as on a GPU, without capture."""

import dataclasses
import time

import pytest

torch = pytest.importorskip("torch", reason="the extra 'vlm' is not installed")

from vlm_engine_world import tiny_family  # noqa: E402

from backends.vlm.engine import Engine  # noqa: E402
from backends.vlm.engine_settings import EngineSettings  # noqa: E402
from backends.vlm.repetition import RepetitionRule  # noqa: E402
from backends.vlm.sampling import Sampling  # noqa: E402
from backends.vlm.scheduler import GroupLimits  # noqa: E402
from router.errors import BackendError, ExtractionError, RetryableError  # noqa: E402

OFF = RepetitionRule(longest_period=0)
SMALL = EngineSettings(
    slots=6,
    slot_tokens=256,
    answer_tokens=64,
    group=GroupLimits(documents=4),
    patience_s=0.0,
    steps_per_look=4,
    repetition=OFF,
    on_death=lambda cause: None,
)


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module", params=["tiny_internvl", "tiny_llama_vision"])
def shared_family(request):
    return tiny_family(request.getfixturevalue(request.param))


@pytest.fixture
def family(shared_family):
    """Each family, with no failure left over from another test."""
    shared_family.heal()
    return shared_family


def settings(**changes):
    return dataclasses.replace(SMALL, **changes)


def test_tokens_equal_generate_for_200_ragged_requests(family):
    requests = [(family.request(seed), 1 + seed * 7 % 23) for seed in range(200)]
    with Engine(family, SMALL).start() as engine:
        futures = [engine.submit(prepared, limit) for prepared, limit in requests]
        answers = [future.result(60) for future in futures]
    for (prepared, limit), answer in zip(requests, answers, strict=True):
        assert answer.tokens == family.generate(prepared, limit)
        ended = answer.tokens[-1] in family.eos_ids
        assert answer.finish_reason == ("stop" if ended else "length")


def test_a_token_comes_with_the_log_probability_entropy_and_margin_of_the_model_itself(family):
    prepared = family.request(3)
    with Engine(family, SMALL).start() as engine:
        answer = engine.submit(prepared, 8).result(30)
    assert len(answer.tokens) == len(answer.logprobs) == len(answer.entropies) == len(answer.margins)
    batch = family.collate([prepared])
    for i, token in enumerate(answer.tokens):
        given = torch.cat((prepared.input_ids, torch.tensor(answer.tokens[:i], dtype=torch.long)))
        again = dataclasses.replace(prepared, input_ids=given, prompt_tokens=len(given))
        batch = family.collate([again])
        with torch.inference_mode():
            logits = family.model(**batch.inputs, use_cache=False).logits[0, -1].float()
        logprobs = logits.log_softmax(-1)
        top = logprobs.topk(2).values
        assert answer.logprobs[i] == pytest.approx(float(logprobs[token]), abs=1e-3)
        assert answer.entropies[i] == pytest.approx(float(-(logprobs.exp() * logprobs).sum()), abs=1e-3)
        assert answer.margins[i] == pytest.approx(float(top[0] - top[1]), abs=1e-3)


def test_a_drawn_answer_depends_on_its_seed_and_on_nobody_beside_it(family):
    prepared, hot = family.request(1), Sampling(temperature=1.5, top_p=0.9, seed=7)
    with Engine(family, SMALL).start() as engine:
        alone = engine.submit(prepared, 20, sampling=hot).result(30)
        beside = [engine.submit(family.request(s), 20, sampling=Sampling(1.5, 0.9, seed=s)) for s in range(5)]
        again = engine.submit(prepared, 20, sampling=hot)
        other = engine.submit(prepared, 20, sampling=dataclasses.replace(hot, seed=8))
        cold = engine.submit(prepared, 20)
        assert again.result(30).tokens == alone.tokens
        assert other.result(30).tokens != alone.tokens
        assert cold.result(30).tokens == family.generate(prepared, 20)
        assert all(future.result(30).tokens for future in beside)


def test_an_answer_that_goes_round_in_circles_ends(family):
    always = Sampling()
    rule = RepetitionRule(longest_period=4, least_tokens=12, least_rounds=3)
    with Engine(family, settings(repetition=rule)).start() as engine:
        answers = [engine.submit(family.request(seed), 60, sampling=always).result(30) for seed in range(16)]
    endless = [answer for answer in answers if answer.finish_reason == "repetition"]
    for answer in endless:
        assert any(answer.tokens[-12:-p] == answer.tokens[-12 + p :] for p in range(1, 5))
    for answer in answers:
        if answer.finish_reason == "length":
            assert len(answer.tokens) == 60


def test_a_deadline_ends_an_answer_where_it_is(family):
    with Engine(family, settings(slots=1, answer_tokens=200, slot_tokens=320)).start() as engine:
        late = engine.submit(family.request(0), 10, deadline_s=time.monotonic() - 1).result(30)
        assert (late.finish_reason, late.tokens) == ("deadline", [])
        on_the_way = engine.submit(_long(family), 200, deadline_s=time.monotonic() + 0.05).result(30)
    assert on_the_way.finish_reason in ("deadline", "stop")
    assert on_the_way.tokens == family.generate(_long(family), 200)[: len(on_the_way.tokens)]


def _long(family):
    """Return a request whose answer is long."""
    if not hasattr(family, "long"):
        requests = [family.request(seed, tiles=1) for seed in range(12)]
        family.long = next(one for one in requests if len(family.generate(one, 48)) == 48)
    return family.long


def test_a_cancelled_request_frees_its_slot(family):
    endless = _long(family)
    with Engine(family, settings(slots=1)).start() as engine:
        family.gate.clear()
        first = engine.submit(endless, 64)
        waiting = engine.submit(family.request(2), 64)
        assert first.cancel()
        assert waiting.cancel()
        family.gate.set()
        assert engine.submit(family.request(3), 5).result(30).tokens == family.generate(family.request(3), 5)
    assert engine.waiting() == 0


def test_a_prompt_that_leaves_no_room_is_refused_at_once(family):
    with Engine(family, settings(slot_tokens=64, answer_tokens=8)).start() as engine:
        long = torch.full((80,), 30)
        prepared = dataclasses.replace(family.request(0), input_ids=long, prompt_tokens=80)
        with pytest.raises(ExtractionError, match="80 tokens"):
            engine.submit(prepared, 5)


def test_an_answer_is_cut_where_its_slot_ends(family):
    prepared = _long(family)
    room = settings(slot_tokens=prepared.prompt_tokens + 11, answer_tokens=9)
    room = dataclasses.replace(room, answer_tokens=prepared.prompt_tokens + 5)
    with Engine(family, room).start() as engine:
        assert engine.submit(prepared, 500).result(30).tokens == family.generate(prepared, 10)


def test_short_memory_makes_groups_smaller_first(family):
    family.gate.clear()
    family.failures = [None, torch.OutOfMemoryError("no memory")]
    with Engine(family, SMALL).start() as engine:
        futures = [engine.submit(family.request(seed, tiles=1), 5) for seed in range(8)]
        family.gate.set()
        assert all(future.result(30).tokens for future in futures)
    assert engine.stats.slots == 6
    assert engine.stats.out_of_memory == 1
    assert max(family.groups[1:]) < 4


def test_short_memory_then_takes_slots_then_tiles_then_gives_up(family):
    asked = []

    def remake(max_tiles, scale):
        asked.append((max_tiles, scale))
        return family.request(4, tiles=max_tiles)

    family.failures = [torch.OutOfMemoryError("no memory")] * 4
    with Engine(family, SMALL).start() as engine:
        answer = engine.submit(family.request(4, tiles=4), 5, remake=remake).result(30)
        assert answer.tokens == family.generate(family.request(4, tiles=1), 5)
        assert engine.stats.slots == 1
        assert asked == [(3, 1.0), (1, 1.0)]
        family.failures = [torch.OutOfMemoryError("no memory")] * 9
        with pytest.raises(RetryableError, match="no memory"):
            engine.submit(family.request(4, tiles=4), 5, remake=remake).result(30)
        assert asked[2:] == [(3, 1.0), (1, 1.0), (1, 0.5)]
        family.failures = []
        assert engine.submit(family.request(5), 5).result(30).tokens == family.generate(family.request(5), 5)


def test_a_faulty_document_fails_alone(family):
    family.gate.clear()
    requests = [family.request(seed) for seed in range(5)]
    family.faulty = requests[3]
    with Engine(family, SMALL).start() as engine:
        answers = [engine.submit(prepared, 5) for prepared in requests]
        family.gate.set()
        outcomes = [answer.exception(30) for answer in answers]
    assert [str(outcome) for outcome in outcomes if outcome] == ["bad pixels"]
    assert outcomes[3] is not None


def test_a_dead_engine_fails_everything_as_retryable_and_ends_the_process(family):
    died = []
    family.failures = [RuntimeError("CUDA error: device lost")]
    family.gate.clear()
    engine = Engine(family, settings(on_death=died.append)).start()
    futures = [engine.submit(family.request(seed), 5) for seed in range(3)]
    family.gate.set()
    outcomes = [future.exception(30) for future in futures]
    engine.close()
    assert all(isinstance(outcome, RetryableError) for outcome in outcomes)
    assert [str(cause) for cause in died] == ["CUDA error: device lost"]
    assert "died" in engine.problem()
    with pytest.raises(RetryableError):
        engine.submit(family.request(0), 5)


def test_an_engine_that_cannot_start_says_why(family):
    broken = dataclasses.replace(family)
    broken.text_model = None
    with pytest.raises(BackendError, match="cannot start"):
        Engine(broken, SMALL).start()


def test_closing_finishes_what_was_submitted_or_cancels_it(family):
    engine = Engine(family, settings(slots=1)).start()
    futures = [engine.submit(family.request(seed), 5) for seed in range(3)]
    engine.close()
    assert all(future.result(0).tokens for future in futures)
    hasty = Engine(family, settings(slots=1)).start()
    futures = [hasty.submit(family.request(seed), 60) for seed in range(40)]
    hasty.close(drain=False)
    assert any(future.cancelled() for future in futures)
    assert all(future.done() for future in futures)


def test_slots_stay_busy_while_documents_wait(family):
    with Engine(family, settings(steps_per_look=2)).start() as engine:
        futures = [engine.submit(family.request(seed), 1 + seed % 30) for seed in range(60)]
        for future in futures:
            future.result(30)
        stats = engine.stats
    assert stats.documents == 60
    assert stats.tokens == sum(len(future.result().tokens) for future in futures)
    assert stats.busy is not None
    assert 0.0 < stats.busy <= 1.0
    assert len(stats.waits_s) == 60
