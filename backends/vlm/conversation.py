"""Several dialogues at once, in the thread of who asked for them. Must not know prompts, devices or schemas.

Every dialogue goes on when its own answer is there. None waits for another while a slot is kept for it, so that no
number of dialogues can stand still over few slots.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, wait
from contextlib import ExitStack

from backends.base import Dialogue, GenerationRequest
from backends.vlm.asking import Asked, Asker
from backends.vlm.requests import HeldSlot
from router.errors import SlotLostError


def converse(asker: Asker, dialogues: Sequence[Dialogue], deadline_s: float | None) -> None:
    """Run all dialogues to their ends; raise what one of them, or the engine, raises. No slot is kept after it."""
    talks = [Talk(asker, dialogue, deadline_s) for dialogue in dialogues]
    with ExitStack() as ending:
        for talk in talks:
            ending.callback(talk.end)
        unstarted = deque(talks)
        while True:
            if unstarted:
                unstarted.popleft().start()
            asking = {talk.asked.future: talk for talk in talks if talk.asked is not None}
            if not asking and not unstarted:
                return
            # pages of the next dialogue are made ready while the engine reads, but no answer waits for all of them
            done, _ = wait(asking, timeout=0 if unstarted else None, return_when=FIRST_COMPLETED)
            for future in done:
                asking[future].go_on()


class Talk:
    """One dialogue on its way: the question that is being answered, or the slot that was kept for the next one."""

    def __init__(self, asker: Asker, dialogue: Dialogue, deadline_s: float | None) -> None:
        self._asker, self._dialogue, self._deadline_s = asker, dialogue, deadline_s
        self.asked: Asked | None = None
        self._slot: HeldSlot | None = None

    def start(self) -> None:
        """Send the first question, if there is one."""
        request = next(self._dialogue, None)
        if request is not None:
            self.asked = self._whole(request)

    def go_on(self) -> None:
        """Hand the answer over and send the next question; the question again, where its slot was lost."""
        asked, self.asked = self.asked, None
        assert asked is not None
        try:
            decoded = asked.decoded()
        except SlotLostError:
            self.asked = self._whole(asked.request)
            return
        self._slot = decoded.held
        try:
            request = self._dialogue.send(self._asker.generation(asked, decoded))
        except StopIteration:
            self._release()
            return
        self.asked = self._following(request, asked)

    def end(self) -> None:
        """Leave nothing behind, wherever it was."""
        if self.asked is not None:
            self._asker.drop(self.asked)
        self._release()
        self._dialogue.close()

    def _following(self, request: GenerationRequest, before: Asked) -> Asked:
        if self._slot is not None and _same_pictures(request, before.request):
            asked = self._asker.follow(request, before, self._slot, self._deadline_s)
            if asked is not None:
                self._slot = None
                return asked
        self._release()  # before it is asked whole: that may need the only slot
        return self._whole(request)

    def _whole(self, request: GenerationRequest) -> Asked:
        return self._asker.ask(request, self._deadline_s, hold=True)

    def _release(self) -> None:
        slot, self._slot = self._slot, None
        if slot is not None:
            self._asker.release(slot)


def _same_pictures(one: GenerationRequest, other: GenerationRequest) -> bool:
    """Return whether both prompts are the same up to the last picture's end."""
    shown = (one.captions, one.glyph_heights_px) == (other.captions, other.glyph_heights_px)
    return one.images is other.images and shown
