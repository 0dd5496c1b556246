"""Yes and no in printed or generated text, negations included. Knows text only: no field and no schema.

Each clause says yes, no or nothing. A word of yes behind a negation says no ("GST is not included"); a word of no
behind one, a negation behind a word of yes, and words of doubt ("not specified") say nothing that can be relied on.
"""

from __future__ import annotations

import re
import unicodedata

_MAX_CHARS = 500
_YES_WORDS = """
    yes y true 1 x ✓ ✔ oui ja si ya benar vrai wahr vero verdadero included include includes including incl inkl inclus
    incluse inclusive compris comprise enthalten inkludiert inbegrepen incluido incluida incluso inclusa termasuk
"""
_NO_WORDS = """
    no n false 0 non nein nee tidak faux falsch falso exclusive excluded exclude excludes excluding excl exkl exclus
    excluido escluso esclusa none
"""
_NEGATION_WORDS = """
    not never nor neither nothing cannot without no non nicht kein keine keinen ohne pas sans aucun aucune niet geen
    zonder sin sem senza tidak bukan tanpa belum dont doesnt isnt arent wasnt didnt
"""
_DOUBT_WORDS = """
    applicable specified specify stated state mentioned mention shown indicated indicate provided given available
    visible clear unclear sure unsure certain known unknown determine determined determinable disclosed found precise
    angegeben bekannt
"""
_YES, _NO = frozenset(_YES_WORDS.split()), frozenset(_NO_WORDS.split())
_NEGATIONS, _DOUBT = frozenset(_NEGATION_WORDS.split()), frozenset(_DOUBT_WORDS.split())
_NOT_APPLICABLE = re.compile(r"(?<!\w)n\s?[./]\s?a\b")
_SHORT_NOT = re.compile(r"n['’`´]t\b")
_CLAUSE_END = re.compile(r"[,;:!?()\[\]\n]|\.(?=\s)|\bbut\b|\band\b")
_WORD = re.compile(r"\w+|[✓✔]")


def parse_boolean(text: str) -> str | None:
    """Return "true" or "false", None where a text says neither, both, or not clearly."""
    if len(text) > _MAX_CHARS:
        return None
    plain = _SHORT_NOT.sub(" not", _plain(text))
    if _NOT_APPLICABLE.search(plain):
        return None
    words = [_WORD.findall(clause) for clause in _CLAUSE_END.split(plain)]
    if any(word in _DOUBT for clause in words for word in clause):
        return None
    said = {verdict for clause in words for verdict in _verdicts(clause)}
    return said.pop() if len(said) == 1 and said <= {"true", "false"} else None


def _verdicts(words: list[str]) -> set[str]:
    """Return what a clause says: "true", "false", "unclear", several of them, or nothing."""
    yes = [i for i, word in enumerate(words) if word in _YES]
    no = [i for i, word in enumerate(words) if word in _NO]
    negations = [i for i, word in enumerate(words) if word in _NEGATIONS]
    if yes and negations:
        plain_no = [i for i in no if i not in negations]
        return {"false"} if max(negations) < min(yes) and len(negations) == 1 and not plain_no else {"unclear"}
    if no and any(i not in no for i in negations):
        return {"unclear"}
    return {verdict for verdict, found in (("true", yes), ("false", no)) if found}


def _plain(text: str) -> str:
    decomposed = unicodedata.normalize("NFKD", text.lower())
    return "".join(c for c in decomposed if not unicodedata.combining(c))
