"""What chat models write around an answer, and how they refuse. Knows phrases only: no fields, no models.

Nothing is rewritten, only a part of the text is chosen: log-probabilities are aligned with it letter by letter.
"""

from __future__ import annotations

import re

_TURN = re.compile(
    r"<\|(?:im_end|im_start|endoftext|eot_id|eom_id|end_of_text|begin_of_text|start_header_id|end_header_id|"
    r"python_tag)\|>|</s>|\[/?INST\]"
)
_ROLE_LINE = re.compile(r"\s*(?:assistant|model|ai)[ \t]*:?[ \t]*(?:\n|$|(?=<\|))", re.IGNORECASE)
_NEXT_ROLE = re.compile(r"^[ \t]*(?:user|human|system|assistant)[ \t]*:?[ \t]*$", re.IGNORECASE | re.MULTILINE)
_OPENING = re.compile(
    r"\s*(?:sure|certainly|of course|okay|ok|here (?:is|are)|below (?:is|are)|i(?:'ll| will| have|'ve)|let me|"
    r"the (?:extracted|following)|based on|to extract|after (?:reviewing|reading|examining))\b[^\n]*(?:\n|$)",
    re.IGNORECASE,
)
_CLOSING = re.compile(
    r"[ \t]*(?:\**note\**\b[ \t]*:|please note|let me know|i hope|if you (?:need|have|would)|these are|"
    r"is there anything|feel free|```)[^\n]*$",
    re.IGNORECASE,
)
_REFUSAL = re.compile(
    r"\b(?:i(?:'m| am)? (?:cannot|can't|can not|won't|will not|unable|not able|not comfortable|sorry)|i'm sorry|"
    r"i apologi[sz]e|as an ai|(?:cannot|can't|unable to) (?:assist|help|provide|process|comply|fulfil|read|extract))\b",
    re.IGNORECASE,
)
_REFUSAL_CHARS = 300
_MAX_LINES = 4


def answer_span(text: str) -> tuple[int, int]:
    """Return (start, end) of the answer in a text, without turns of the chat, role names, greetings and closings.

    A line that opens like a greeting but has a colon with something behind it may be the answer and is kept.
    """
    start = _start(text)
    turn = _TURN.search(text, start) or _NEXT_ROLE.search(text, start + 1)
    end = turn.start() if turn else len(text)
    return start, _without_closing(text, start, end)


def is_refusal(text: str) -> bool:
    """Return whether a text without any field declines to answer."""
    return _REFUSAL.search(text.replace("\u2019", "'")[:_REFUSAL_CHARS]) is not None


def _start(text: str) -> int:
    start = 0
    for _ in range(_MAX_LINES):
        turn = _TURN.match(text, start)
        opening = turn or _ROLE_LINE.match(text, start) or _OPENING.match(text, start)
        if opening is None or (not turn and _may_be_field(opening[0])):
            break
        start = opening.end()
    return start


def _may_be_field(line: str) -> bool:
    return bool(re.search(r":[ \t]*[^\s*`]", line)) or "{" in line


def _without_closing(text: str, start: int, end: int) -> int:
    """Where the last lines begin that are a closing: such a phrase in the middle of an answer may be a value's own."""
    for _ in range(_MAX_LINES):
        shown = text[start:end].rstrip()
        line = shown.rfind("\n") + 1
        if line == 0 or not _CLOSING.match(shown, line):
            break
        end = start + line
    return end
