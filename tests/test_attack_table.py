"""The table of attacks names tests, and those are there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "attacks.md"
_NAMED = re.compile(r"`(test_\w+)(?:::(test_\w+))?`")


def rows() -> list[list[str]]:
    """Return the cells of all rows of all tables on the page that name a test, headings left out."""
    lines = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [row for row in cells if row[-1] != "test"]


def test_there_is_a_row_for_each_kind_of_attack():
    assert len(rows()) > 30


@pytest.mark.parametrize("row", rows(), ids=lambda row: row[0])
def test_a_row_says_what_happens_and_names_a_test_that_is_there(row):
    attack, what_happens, tests = row
    assert attack
    assert what_happens
    named = _NAMED.findall(tests)
    assert named, f"no test is named: {tests}"
    for module, function in named:
        text = (ROOT / "tests" / f"{module}.py").read_text(encoding="utf-8")
        assert not function or f"def {function}(" in text, f"{module} has no {function}"
