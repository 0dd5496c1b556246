"""The second reading: values of scans looked for in words that are read for it."""

import os
import subprocess
import sys
import time
from dataclasses import dataclass, field

import numpy as np
import pytest
from bad_inputs import encode, picture
from PIL import Image
from test_model_lane import Scripted, read, said

from backends.extract import ModelLane
from backends.ocr.processes import OcrProcesses
from backends.second_reading import SecondReader, SecondReadingPolicy
from router.types import Word


@dataclass
class Words:
    """Finds the words wherever they are asked for; keeps the heights of the pictures it was shown."""

    text: str
    place: float = 0.2
    height: int = 0
    shown: list = field(default_factory=list)

    def words(self, pictures):
        self.shown += [p.shape[0] for p in pictures]
        return [self.in_picture(p) for p in pictures]

    def in_picture(self, picture):
        """The words stand at one place of the page: only a picture of this place has them."""
        polygon = (0.1, 0.5, 0.4, 0.5, 0.4, 0.6, 0.1, 0.6)
        return tuple(Word(text=t, polygon=polygon) for t in self.text.split()) if has_mark(picture) else ()


MARK = (255, 0, 255)


def has_mark(picture):
    return bool((picture == MARK).all(-1).any())


def marked(place):
    page = np.asarray(picture().convert("RGB")).copy()
    page[int(place * page.shape[0])] = MARK
    return encode(Image.fromarray(page), "PNG")


BANDS = {"total_amount": (0.5, 1.0), "supplier_name": (0.0, 0.4)}


def confirmed(reader, place=0.7, logprob=-0.5, when="uncertain", text="total_amount: 12.50"):
    second = SecondReader(reader, SecondReadingPolicy(when, bands=BANDS))
    lane = ModelLane(Scripted([said(text, logprob)]), "scripted", second=second)
    return read(lane, marked(place), fields=("total_amount",)).fields["total_amount"]


def test_a_value_in_doubt_is_looked_for_where_it_should_be():
    reader = Words("Total 12.50")
    found = confirmed(reader)
    assert found.provenance.signals["grounding"] == 1.0
    assert found.provenance.signals["second_reading_ms"] >= 0
    assert len(reader.shown) == 1
    height = picture().size[1]
    assert reader.shown[0] == pytest.approx(height / 2, abs=1)
    assert found.page == 1
    assert found.polygon[1] == pytest.approx(0.75, abs=0.01)


def test_on_a_miss_the_rest_of_the_page_is_read_before_a_value_counts_as_invented():
    reader = Words("Total 12.50")
    assert confirmed(reader, place=0.1).provenance.signals["grounding"] == 1.0
    assert len(reader.shown) == 2
    nowhere = confirmed(Words("Total 99.00"))
    assert nowhere.provenance.signals["grounding"] == 0.0
    assert nowhere.polygon is None


@pytest.mark.parametrize(("logprob", "when"), [(-0.001, "uncertain"), (-5.0, "uncertain"), (-0.5, "never")])
def test_a_value_that_is_sure_or_hopeless_is_not_looked_for(logprob, when):
    reader = Words("Total 12.50")
    assert "grounding" not in confirmed(reader, logprob=logprob, when=when).provenance.signals
    assert reader.shown == []


def test_always_reads_the_whole_page():
    reader = Words("Total 12.50")
    assert confirmed(reader, logprob=-0.001, when="always").polygon is not None
    assert reader.shown == [picture().size[1]]


def test_an_absent_field_is_not_looked_for():
    reader = Words("Total 12.50")
    confirmed(reader, when="always", text="total_amount: NOT_FOUND")
    assert reader.shown == []


def test_a_failure_of_the_second_reading_leaves_the_first_as_it_is(caplog):
    class Broken:
        def words(self, pictures):
            raise RuntimeError("no words today")

    assert confirmed(Broken()).value == "12.50"
    assert "no words today" in caplog.text


def test_words_are_read_in_a_process_of_their_own():
    reader = OcrProcesses(workers=1)
    try:
        [words] = reader.words([np.asarray(picture().convert("RGB"))])
    finally:
        reader.close()
    assert words
    assert all(0 <= x <= 1 for word in words for x in word.polygon)


def test_processes_that_read_words_end_with_one_that_dies_without_a_word():
    code = (
        "import os\nfrom backends.ocr.processes import OcrProcesses\n"
        "if __name__ == '__main__':\n"
        "    print(OcrProcesses(1)._running().submit(os.getpid).result(), flush=True)\n    os._exit(70)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 70, done.stderr
    child, ends = int(done.stdout), time.monotonic() + 20
    while _is_alive(child):
        assert time.monotonic() < ends
        time.sleep(0.05)


def _is_alive(process):
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True
