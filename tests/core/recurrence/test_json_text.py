import json
from collections.abc import Callable
from datetime import date
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import InvalidRecurrence
from core.recurrence import LONGEST_TEXT, Break, Recurrence, parse, validate
from tests.core.recurrence.documents import Document, monthly, recurrence, span, text_of, weekly, with_breaks


@pytest.mark.parametrize(
    ("schedules", "problem"),
    [
        (None, "schedules is null; expected a list of schedules"),
        ({}, "schedules is an object; expected a list of schedules"),
        ([weekly()] * 101, "schedules has 101 items; expected at most 100"),
        ([weekly(), "monday"], "schedules[1] is 'monday'; expected an object, as in "),
        ([{}], "schedules[0].type is missing; expected one of weekly, monthly_nth_weekday"),
        ([weekly(type="daily")], "schedules[0].type is 'daily'; expected one of weekly, monthly_nth_weekday"),
        ([weekly(weekday="thu")], "schedules[0].weekday is 'thu'; expected one of monday, tuesday, "),
        ([weekly(weekday=3)], "schedules[0].weekday is 3; expected one of monday, "),
        ([weekly(weekday=[])], "schedules[0].weekday is an empty list; expected one of monday, "),
        (
            [weekly(start_time=None)],
            "schedules[0].start_time is null; expected a time from '0:00' to '23:59'",
        ),
        ([weekly(start="7pm")], "schedules[0].start_time is '7pm'; expected a time from '0:00' to '23:59'"),
        ([weekly(start="24:00")], "schedules[0].start_time is '24:00'; expected a time "),
        ([weekly(start="19:60")], "schedules[0].start_time is '19:60'; expected a time "),
        ([weekly(start="19:30:01")], "schedules[0].start_time is '19:30:01'; expected a time "),
        ([weekly(start="19:30+01:00")], "schedules[0].start_time is '19:30+01:00'; expected a time "),
        ([weekly(start="١٩:٣٠")], "schedules[0].start_time is '١٩:٣٠'; expected a time "),
        ([weekly(end="")], "schedules[0].end_time is ''; expected a time "),
        ([weekly(end_time=22)], "schedules[0].end_time is 22; expected a time "),
        ([weekly(every_n_weeks=0)], "schedules[0].every_n_weeks is 0; expected a whole number from 1 to 52"),
        ([weekly(every_n_weeks=-2)], "schedules[0].every_n_weeks is -2; expected "),
        ([weekly(every_n_weeks=53)], "schedules[0].every_n_weeks is 53; expected "),
        ([weekly(every_n_weeks=True)], "schedules[0].every_n_weeks is true; expected "),
        ([weekly(every_n_weeks=2.0)], "schedules[0].every_n_weeks is 2.0; expected "),
        ([weekly(every_n_weeks="2")], "schedules[0].every_n_weeks is '2'; expected "),
        ([weekly(every_n_weeks=float("nan"))], "schedules[0].every_n_weeks is NaN; expected "),
        ([weekly(every_n_weeks=10**4000)], f"schedules[0].every_n_weeks is 1{'0' * 59}; expected "),
        (
            [monthly(None)],
            "schedules[0].which is null; expected a list of numbers from 1 to 5, or -1 for the last",
        ),
        ([monthly(2)], "schedules[0].which is 2; expected a list of numbers from 1 to 5, or -1 for the last"),
        ([weekly(), monthly([6])], "schedules[1].which[0] is 6; expected 1, 2, 3, 4, 5, or -1 for the last"),
        ([monthly([1, 0])], "schedules[0].which[1] is 0; expected "),
        ([monthly([True])], "schedules[0].which[0] is true; expected "),
        ([monthly([[1]])], "schedules[0].which[0] is a list; expected "),
        ([monthly([1, "-1"])], "schedules[0].which[1] is '-1'; expected "),
    ],
)
def test_r1_what_cannot_be_understood_is_refused_by_both_doors(schedules: Any, problem: str) -> None:
    for read in (parse, validate):
        with pytest.raises(InvalidRecurrence) as caught:
            read(json.dumps({"schedules": schedules}))
        assert str(caught.value).startswith(problem)


A_DATE = "expected a date such as '2026-12-24', in a year from 1900 to 2199"


@pytest.mark.parametrize(
    ("breaks", "problem"),
    [
        ("2026-12-24", "except is '2026-12-24'; expected a list of dates, and of objects with from, to and why"),
        ({}, "except is an object; expected a list of dates, "),
        (["2026-12-24"] * 101, "except has 101 items; expected at most 100"),
        ([20261224], "except[0] is 20261224; expected a date such as '2026-12-24', or an object with from, to and why"),
        ([None], "except[0] is null; expected a date such as '2026-12-24', or an object "),
        ([["2026-12-24"]], "except[0] is a list; expected a date "),
        (["2026-12-24", "Christmas"], f"except[1] is 'Christmas'; {A_DATE}"),
        ([""], f"except[0] is ''; {A_DATE}"),
        (["20261224"], f"except[0] is '20261224'; {A_DATE}"),
        (["2026-W52-4"], f"except[0] is '2026-W52-4'; {A_DATE}"),
        (["2026-12-24T19:30"], f"except[0] is '2026-12-24T19:30'; {A_DATE}"),
        (["24.12.2026"], f"except[0] is '24.12.2026'; {A_DATE}"),
        (["2026-02-30"], f"except[0] is '2026-02-30'; {A_DATE}"),
        (["1899-12-31"], f"except[0] is '1899-12-31'; {A_DATE}"),
        (["2200-01-01"], f"except[0] is '2200-01-01'; {A_DATE}"),
        (["٢٠٢٦-12-24"], f"except[0] is '٢٠٢٦-12-24'; {A_DATE}"),
        ([{}], f"except[0].from is missing; {A_DATE}"),
        ([{"from": "2026-07-01"}], f"except[0].to is missing; {A_DATE}"),
        ([span("2026-07-01", None)], f"except[0].to is null; {A_DATE}"),
        ([span(["2026-07-01"], "2026-07-02")], f"except[0].from is a list; {A_DATE}"),
        ([span("2026-07-01", "2026-06-30")], "except[0].to is '2026-06-30'; expected 2026-07-01 or later"),
    ],
)  # fmt: skip
def test_r7_breaks_that_cannot_be_understood_are_refused_by_both_doors(breaks: Any, problem: str) -> None:
    for read in (parse, validate):
        with pytest.raises(InvalidRecurrence) as caught:
            read(with_breaks(breaks, weekly()))
        assert str(caught.value).startswith(problem)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("Thursdays 7pm", "'Thursdays 7pm' is not JSON (Expecting value: line 1 column 1 (char 0)); expected text"),
        ('{"schedules": [', "'{\"schedules\": [' is not JSON (Expecting value: line 1 column 16"),
        ("7", "the document is 7; expected an object, as in {"),
        ("null", "the document is null; expected an object, as in {"),
        ("[]", "the document is an empty list; expected an object, as in {"),
        ('"weekly"', "the document is 'weekly'; expected an object, as in {"),
        ("[" * 9_000, f"'{'[' * 59} is not JSON ("),
        ("9" * 9_000, f"'{'9' * 59} is not JSON (Exceeds the limit"),
        ("x" * (LONGEST_TEXT + 1), "the recurrence has 10001 characters; expected at most 10000"),
        (42, "the recurrence is of type int; expected text"),
        (b"{}", "the recurrence is of type bytes; expected text"),
        ({"schedules": []}, "the recurrence is of type dict; expected text"),
    ],
)  # fmt: skip
def test_r1_what_is_no_document_is_refused_by_both_doors(text: Any, problem: str) -> None:
    for read in (parse, validate):
        with pytest.raises(InvalidRecurrence) as caught:
            read(text)
        assert str(caught.value).startswith(problem)


def test_r1_a_missing_list_is_refused() -> None:
    with pytest.raises(InvalidRecurrence, match=r"^schedules is missing; expected a list of schedules$"):
        parse("{}")


@pytest.mark.parametrize(
    ("text", "problem", "read_as"),
    [
        (text_of(weekly("Thursday")), "schedules[0].weekday is 'Thursday'; expected 'thursday'", [weekly()]),
        (text_of(weekly(type="WEEKLY")), "schedules[0].type is 'WEEKLY'; expected 'weekly'", [weekly()]),
        (
            text_of(weekly(start="19:30:00")),
            "schedules[0].start_time is '19:30:00'; expected '19:30'",
            [weekly()],
        ),
        (text_of(weekly(end=" 22:30")), "schedules[0].end_time is ' 22:30'; expected '22:30'", [weekly()]),
        (
            text_of(weekly(every_n_weeks=None)),
            "schedules[0].every_n_weeks is null; expected a whole number from 1 to 52",
            [weekly()],
        ),
        (
            text_of(weekly(), weekly("friday", which=[1])),
            ("schedules[1] has an unknown key, 'which'; expected only "
             "type, weekday, start_time, end_time, every_n_weeks"),
            [weekly(), weekly("friday")],
        ),
        (
            text_of(monthly([1]) | {"every_n_weeks": 2}),
            ("schedules[0] has an unknown key, 'every_n_weeks'; expected only "
             "type, weekday, start_time, end_time, which"),
            [monthly([1])],
        ),
        (
            text_of(monthly([])),
            "schedules[0].which is an empty list; expected a list of numbers from 1 to 5, or -1 for the last",
            [],
        ),
        (
            '{"timezone": "UTC", "schedules": []}',
            "the document has an unknown key, 'timezone'; expected only schedules, except",
            [],
        ),
        (
            '{"schedules": [], "schedules": []}',
            "the document has the key 'schedules' more than once; expected it once",
            [],
        ),
        (
            text_of(weekly("friday")).replace('"friday"', '"friday", "weekday": "thursday"'),
            "schedules[0] has the key 'weekday' more than once; expected it once",
            [weekly()],
        ),
    ],
)  # fmt: skip
def test_r1_oddities_are_refused_on_saving_and_forgiven_where_stored(
    text: str, problem: str, read_as: list[Document]
) -> None:
    with pytest.raises(InvalidRecurrence) as caught:
        validate(text)
    stored = parse(text)

    november = date(2026, 11, 1), date(2026, 11, 30)
    assert problem == str(caught.value)
    assert (problem,) == stored.warnings
    assert recurrence(*read_as).between(*november) == stored.between(*november)


WHY = "except[0].why is {}; expected printable text of 1 to 100 characters"


@pytest.mark.parametrize(
    ("breaks", "problem", "why"),
    [
        ([" 2026-11-12"], "except[0] is ' 2026-11-12'; expected '2026-11-12'", None),
        ([span("2026-11-12", "2026-11-12 ")], "except[0].to is '2026-11-12 '; expected '2026-11-12'", None),
        (
            [span("2026-11-12", "2026-11-12", until=1)],
            "except[0] has an unknown key, 'until'; expected only from, to, why",
            None,
        ),
        ([span("2026-11-12", "2026-11-12", why=" fog")], WHY.format("' fog'"), "fog"),
        ([span("2026-11-12", "2026-11-12", why="")], WHY.format("''"), None),
        ([span("2026-11-12", "2026-11-12", why=None)], WHY.format("null"), None),
        ([span("2026-11-12", "2026-11-12", why=7)], WHY.format("7"), None),
        ([span("2026-11-12", "2026-11-12", why="a\nb")], WHY.format(r"'a\nb'"), None),
        ([span("2026-11-12", "2026-11-12", why="\x1b[2J")], WHY.format(r"'\x1b[2J'"), None),
        ([span("2026-11-12", "2026-11-12", why="\ud800")], WHY.format(r"'\ud800'"), None),
        ([span("2026-11-12", "2026-11-12", why="x" * 101)], WHY.format(f"'{'x' * 59}"), None),
    ],
)
def test_r7_odd_breaks_are_refused_on_saving_and_forgiven_where_stored(
    breaks: Any, problem: str, why: str | None
) -> None:
    text = with_breaks(breaks, weekly())
    with pytest.raises(InvalidRecurrence) as caught:
        validate(text)

    assert str(caught.value) == problem
    assert parse(text).warnings == (problem,)
    assert parse(text).breaks == (Break(date(2026, 11, 12), date(2026, 11, 12), why),)


def test_r7_no_breaks_may_be_said_in_two_ways_and_null_is_odd() -> None:
    assert validate(text_of(weekly())) == validate(with_breaks([], weekly()))
    assert parse(with_breaks(None, weekly())).breaks == ()
    with pytest.raises(InvalidRecurrence, match=r"^except is null; expected a list of dates, "):
        validate(with_breaks(None, weekly()))


def any_json() -> st.SearchStrategy[Any]:
    keys = st.sampled_from(
        [
            "schedules",
            "type",
            "weekday",
            "which",
            "start_time",
            "end_time",
            "every_n_weeks",
            "except",
            "from",
            "why",
            "x",
        ]
    )
    leaves = (
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
        | st.sampled_from(["weekly", "monthly_nth_weekday", "monday", "19:30", "7:00:00", "2026-12-24"])
    )  # fmt: skip
    return st.recursive(leaves, lambda inner: st.lists(inner) | st.dictionaries(keys, inner), max_leaves=6)


def read_or_refused(read: Callable[[str], Recurrence], text: str) -> Recurrence | None:
    try:
        return read(text)
    except InvalidRecurrence:
        return None


@given(
    st.text()
    | st.builds(json.dumps, any_json())
    | st.builds(text_of, st.builds(weekly, any_json(), any_json(), any_json()))
    | st.builds(text_of, st.builds(monthly, any_json()))
    | st.builds(
        with_breaks, any_json() | st.lists(any_json() | st.builds(span, any_json(), any_json(), why=any_json()))
    )
)
@settings(max_examples=60, deadline=None)
def test_r1_whatever_is_stored_is_read_or_refused(text: str) -> None:
    validated, parsed = read_or_refused(validate, text), read_or_refused(parse, text)

    if validated is not None:
        assert validated == parsed
        assert validated.warnings == ()
