"""`docs/recurrence.schema.json` and `validate` say the same, but for what the schema's comment lists."""

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from core.errors import InvalidRecurrence
from core.recurrence import validate
from tests.core.recurrence.documents import monthly, span, text_of, weekly, with_breaks
from tests.core.recurrence.test_json_text import any_json

SCHEMA = json.loads((Path(__file__).parents[3] / "docs" / "recurrence.schema.json").read_text(encoding="utf-8"))
VALIDATOR = Draft202012Validator(SCHEMA)

WHATEVER = any_json() | st.sampled_from(
    [2.0, 1e0, -1, 5, 6, 52, 53, True, "19:30\n", "24:00", "thursday", "Thursday", {}]
)


def mostly(usual: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.integers(0, 9).flatmap(lambda chance: usual if chance else WHATEVER)


WEEKDAYS = mostly(st.sampled_from(["monday", "thursday", "sunday"]))
TIMES = mostly(st.times().map("{:%H:%M}".format) | st.sampled_from(["0:00", "9:30", "23:59"]))
WHICH = mostly(st.lists(mostly(st.sampled_from([1, 2, 3, 4, 5, -1])), min_size=1, max_size=4))
MORE = mostly(st.just({})) | st.dictionaries(st.sampled_from(["x", "which", "every_n_weeks"]), WHATEVER, max_size=1)
SCHEDULES = (
    st.fixed_dictionaries(
        {"type": mostly(st.just("weekly")), "weekday": WEEKDAYS, "start_time": TIMES},
        optional={"end_time": st.none() | TIMES, "every_n_weeks": mostly(st.integers(1, 52))},
    )
    | st.fixed_dictionaries(
        {"type": mostly(st.just("monthly_nth_weekday")), "weekday": WEEKDAYS, "which": WHICH, "start_time": TIMES},
        optional={"end_time": st.none() | TIMES},
    )
    | st.tuples(st.builds(weekly), MORE).map(lambda pair: pair[0] | (pair[1] if isinstance(pair[1], dict) else {}))
)
DATES = mostly(
    st.dates(date(1890, 1, 1), date(2210, 1, 1)).map(str)
    | st.sampled_from(["2026-02-30", "2026-12-24\n", "2026-13-01", "2026-1-01", "1900-01-01", "2199-12-31"])
)
WHYS = mostly(st.just("summer break")) | st.text(st.sampled_from(" x\n\x1bé"), max_size=101) | st.just("x" * 100)
BREAKS = (
    DATES
    | st.builds(span, DATES, DATES)
    | st.builds(span, DATES, DATES, why=WHYS)
    | st.builds(span, DATES, DATES, x=DATES)
)
DOCUMENTS = mostly(
    st.fixed_dictionaries(
        {"schedules": mostly(st.lists(mostly(SCHEDULES), max_size=3))},
        optional={"except": mostly(st.lists(mostly(BREAKS), max_size=3))},
    )
)


def is_accepted(text: str) -> bool:
    try:
        validate(text)
    except InvalidRecurrence:
        return False
    return True


def without_what_a_schema_cannot_say(value: Any) -> Any:
    """Write whole numbers and dates as such, put them in order, and leave out what cannot be printed."""
    match value:
        case {"from": str(first), "to": str(last)}:
            spanned = sorted(without_what_a_schema_cannot_say([first, last]))
            return value | span(*spanned) | ({"why": "shown"} if "why" in value else {})
        case dict():
            return {key: without_what_a_schema_cannot_say(inner) for key, inner in value.items()}
        case list():
            return [without_what_a_schema_cannot_say(inner) for inner in value]
        case float() if value.is_integer():
            return int(value)
        case str():
            return value.removesuffix("\n").replace("-02-30", "-02-28")
    return value


def test_r1_the_schema_is_a_schema() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    for document in SCHEMA["examples"]:
        assert is_accepted(json.dumps(document))


@given(DOCUMENTS)
@example({"schedules": [weekly(every_n_weeks=2.0)]})
@example({"schedules": [monthly([1e0])]})
@example({"schedules": [weekly(start="9:30\n")]})
@example({"schedules": [], "except": ["2026-02-30", "2026-12-24\n"]})
@example({"schedules": [], "except": [span("2026-07-02", "2026-07-01", why="x\x1bx")]})
@settings(max_examples=400)
def test_r1_the_schema_and_validate_agree(document: Any) -> None:
    fits = VALIDATOR.is_valid(document)

    if is_accepted(json.dumps(document)):
        assert fits
    elif fits:
        said = without_what_a_schema_cannot_say(document)
        assert said != document or json.dumps(said) != json.dumps(document)
        assert is_accepted(json.dumps(said))


@pytest.mark.parametrize(
    ("text", "listed"),
    [
        ('{"schedules": [], "schedules": []}', "a key given twice"),
        (text_of(weekly(every_n_weeks=2.0)), "2.0"),
        (text_of(weekly(every_n_weeks=2)).replace(": 2}", ": 2e0}"), "2e0"),
        (text_of(monthly([1] * 4000)), "10,000 characters"),
        (text_of(weekly(start="9:30\n")), "a line break at the end of a time or a date"),
        (with_breaks(["2026-12-24\n"]), "a line break at the end of a time or a date"),
        (with_breaks(["2026-02-30"]), "a date that the calendar does not have"),
        (with_breaks([span("2026-07-02", "2026-07-01")]), "a `to` before its `from`"),
        (with_breaks([span("2026-07-01", "2026-07-01", why="a\x1bb")]), "characters that cannot be printed"),
    ],
)
def test_r1_what_the_schema_cannot_say_is_listed_in_it(text: str, listed: str) -> None:
    assert VALIDATOR.is_valid(json.loads(text))
    assert not is_accepted(text)
    assert listed in SCHEMA["$comment"]


@pytest.mark.parametrize("count", [100, 101])
def test_r7_the_schema_bounds_the_breaks_and_their_reasons(count: int) -> None:
    for document in (
        {"schedules": [], "except": ["2026-12-24"] * count},
        {"schedules": [], "except": [span("2026-12-24", "2026-12-24", why="x" * count)]},
    ):
        assert VALIDATOR.is_valid(document) == is_accepted(json.dumps(document)) == (count == 100)


@pytest.mark.parametrize("count", [100, 101])
def test_r1_the_schema_bounds_the_schedules(count: int) -> None:
    text = text_of(*[{"type": "weekly", "weekday": "monday", "start_time": "9:00"}] * count)

    assert VALIDATOR.is_valid(json.loads(text)) == is_accepted(text) == (count == 100)
