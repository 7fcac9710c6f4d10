"""`docs/protocol.md` tells each race and names the case that forces it."""

import re

import pytest

from tests.commands import ROOT
from tests.core.scenarios.interleavings import test_passes, test_people, test_plans

TABLES = {"people": test_people.CASES, "passes": test_passes.CASES, "plans": test_plans.CASES}
PROTOCOL = (ROOT / "docs/protocol.md").read_text(encoding="utf-8")
# `test_people`: `a part of a name`, `a part of another`
CITATION = re.compile(r"`test_(people|passes|plans)`:((?:,?\s`[^`]+`)+)")
PART = re.compile(r"`([^`]+)`")


def cited(table: str) -> list[str]:
    """Return the parts of names that the page cites of a table."""
    return [
        " ".join(part.split())
        for name, parts in CITATION.findall(PROTOCOL)
        if name == table
        for part in PART.findall(parts)
    ]


@pytest.mark.parametrize("table", TABLES)
def test_each_citation_is_of_one_case_and_each_case_is_cited(table: str) -> None:
    cases = {part: [case for case in TABLES[table] if part in case] for part in cited(table)}

    assert {part: found for part, found in cases.items() if len(found) != 1} == {}
    assert TABLES[table].keys() - {case for found in cases.values() for case in found} == set()
