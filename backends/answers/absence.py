"""Words that say "the document does not show it", and words that say "I cannot tell". Knows no field and no form.

The first is a claim, the second is none: what a model could not read may well stand on the page.
"""

from __future__ import annotations

import re

_WORDS = frozenset({
    "not found", "n/a", "n.a", "na", "none", "null", "not present", "-", "--", "---", "–", "—", "~", "absent",
    "missing", "undefined", "blank", "empty", "not applicable", "no value", "none none",
    "nicht vorhanden", "nicht angegeben", "nicht gefunden", "keine angabe", "keine", "k.a", "entfällt", "non trouvé",
    "non indiqué", "non spécifié", "aucun", "néant", "no encontrado", "no disponible", "no aplica", "ninguno",
    "non presente", "niet gevonden", "niet vermeld", "n.v.t", "tidak ada",
})  # fmt: skip
_SEEN = (
    r"(?:found|provided|specified|mentioned|stated|shown|visible|present|available|listed|given|printed|indicated|"
    r"displayed|applicable|supplied|disclosed|seen|detected|noted|recorded|included (?:in|on)|"
    r"on the|on this|in the|in this)\b"
)
_HOW = r"(?:(?:explicitly|directly|specifically|actually|present or) )?"
_TAIL = r"[^\d\n]{0,160}$"
_NOUN = r"[a-z][a-z '()/#.-]{0,50}?"
_BE = r"(?:is |are |was |were )?"
_PHRASES = re.compile(
    rf"(?:it is |this is |is |are |was )?(?:not|none|nothing|not been|none of these) {_BE}{_HOW}{_SEEN}{_TAIL}"
    rf"|no {_NOUN} {_BE}{_HOW}{_SEEN}{_TAIL}"
    rf"|there (?:is|are|was|were) no {_TAIL}"
    rf"|(?:the|this) (?:document|receipt|invoice|statement|image|page)(?: itself)? (?:does not|doesn't|do not) "
    rf"(?:show|contain|specify|mention|include|provide|list|display|have|state|indicate)\b{_TAIL}"
    rf"|(?:the )?{_NOUN} (?:is|are|was|were) not {_HOW}{_SEEN}{_TAIL}"
    rf"|(?:not found|n/a|none|null|not applicable) ?(?:[-–—,;:.(]|//|#|<!--) ?{_TAIL}"
)
_DOUBT = re.compile(
    r"\b(?:illegible|unreadable|not (?:legible|readable|clear|sure|certain)|not (?:clearly|fully|entirely|completely|"
    r"easily|quite)|partially|partly|same as|unclear|cannot|can't|could not|"
    r"couldn't|unable|unknown|blurr(?:y|ed)|hard to read|difficult to|too faint|obscured|cut off|redacted|uncertain|"
    r"determine|to be (?:filled|determined)|tbd|tba)\b",
    re.IGNORECASE,
)
_ELSEWHERE = re.compile(
    r"(?:see|as|refer to|same as) (?:the )?(?:above|below|header|heading|footer|letterhead|logo|top|bottom|table|image|"
    r"attached|attachment|document|invoice|receipt|statement|supplier|payer|billing|business|page \d+)\b.{0,60}"
)
_UNKNOWN = frozenset({"?", "??", "???", "...", "…", "nil", "various", "multiple", "see above", "see below", "unknown"})
_BRACKETS = ("()", "[]", "<>", "{}")
_MAX_CHARS = 240


def says_absent(value: str) -> bool:
    """Return whether a value claims that the document does not show the field."""
    if len(value) > _MAX_CHARS:
        return False
    said = _said(value)
    if says_unknown(value):
        return False
    return said in _WORDS or said.rstrip(".!,;") in _WORDS or _PHRASES.fullmatch(said) is not None


def says_absent_word(value: str) -> bool:
    """Return whether a value is one of the short words of absence, perhaps in brackets."""
    return _said(value) in _WORDS


def says_unknown(value: str) -> bool:
    """Return whether a value says that the field could not be read or told."""
    said = _said(value)
    return (
        said.rstrip(".!") in _UNKNOWN
        or said in _UNKNOWN
        or _ELSEWHERE.fullmatch(said) is not None
        or (len(said) < _MAX_CHARS and _is_doubt(said))
    )


def _is_doubt(said: str) -> bool:
    found = _DOUBT.search(said)
    # a business may be called "Unknown Pleasures": doubt is a short remark or a sentence in lower case
    return found is not None and (found.start() == 0 or said.startswith(("it ", "the ", "not ", "i ", "n/a", "none")))


def _said(value: str) -> str:
    plain = value.replace("\\", "").replace("\u2019", "'").replace("*", "").replace("`", "").replace("_", " ")
    said = " ".join(plain.casefold().split()).strip("\"'")
    return said[1:-1].strip() if said[:1] + said[-1:] in _BRACKETS else said
