"""The door of the answer parser: a model's text in, raw values with their places out."""

from backends.answers.answer import Answer, ParsedAnswer
from backends.answers.kind import read_kind
from backends.answers.parsing import parse_answer

__all__ = ["Answer", "ParsedAnswer", "parse_answer", "read_kind"]
