"""The form of a session, without a request and a database: what is stored, what was sent, and what is wrong with it."""

import json
from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.datastructures import MultiDict

from core.recurrence import validate
from core.recurrence.json_text import MOST_WEEKS
from core.recurrence.schedules import WEEKDAYS
from core.store.views.pages import SessionRow
from web import forms
from web.forms import MONTHLY, MOST_ROWS, BreakRow, Fields, Row

STORED = SessionRow(7, "One", None, None, None, None, "Europe/Dublin", None, None, None, 60, 60, None)
ROW = Row("thursday", "1", (), "19:00", "22:30")
FIELDS = Fields("rows", (ROW,), "", "Europe/Dublin", "", "", "60", "60")
WEEKLY: dict[str, object] = {"type": "weekly", "weekday": "thursday", "start_time": "19:00", "end_time": "22:30"}
MONTHLY_ROW = Row("thursday", MONTHLY, ("1", "-1"), "19:00", "22:30")


def text_of(*schedules: dict[str, object], **others: object) -> str:
    return json.dumps({"schedules": schedules} | others)


# What is stored


@pytest.mark.parametrize(
    ("schedule", "row"),
    [
        (WEEKLY, ROW),
        (WEEKLY | {"every_n_weeks": 2}, replace(ROW, every="2")),
        (WEEKLY | {"end_time": None}, replace(ROW, end_time="")),
        (WEEKLY | {"start_time": "9:00", "end_time": "9:30"}, replace(ROW, start_time="09:00", end_time="09:30")),
        (WEEKLY | {"type": "monthly_nth_weekday", "which": [1, -1]}, MONTHLY_ROW),
    ],
    ids=["weekly", "fortnightly", "no end", "one digit", "monthly"],
)
def test_a_schedule_is_shown_as_a_row_and_means_the_same_again(schedule: dict[str, object], row: Row) -> None:
    fields = forms.stored(replace(STORED, recurrence=text_of(schedule), initiation_date=date(2026, 1, 8)))

    assert (fields.shape, fields.rows, fields.text) == ("rows", (row,), "")
    again = forms.stored(replace(STORED, recurrence=fields.recurrence, initiation_date=date(2026, 1, 8)))
    assert again == fields


@pytest.mark.parametrize(
    "text",
    [
        "Thursdays, most weeks",
        '{"schedules": [{"type": "weekly"}]}',
        "DTSTART:20260105T193000\nDURATION:PT2H\nRRULE:FREQ=WEEKLY;BYDAY=MO",
        text_of(*[WEEKLY] * (MOST_ROWS + 1)),
        text_of(WEEKLY, **{"except": [{"from": "2026-07-01", "to": "2026-08-31", "why": " "}]}),
    ],
    ids=["no document", "not complete", "a calendar rule", "too many rows", "a break that is forgiven"],
)
def test_what_rows_cannot_say_is_shown_as_text(text: str) -> None:
    fields = forms.stored(replace(STORED, recurrence=text))

    assert (fields.shape, fields.rows, fields.text) == ("text", (), text)
    assert fields.recurrence == text


ENDS_AT_ITS_START = "It ends when it starts. If you do not know when it ends, leave it empty."
SUMMER = BreakRow("2026-07-01", "2026-08-31", "Ferien am Grünen See")
BREAKS = [{"from": "2026-07-01", "to": "2026-08-31", "why": "Ferien am Grünen See"}]


def test_r7_breaks_are_shown_beside_the_rows_and_mean_the_same_again() -> None:
    text = text_of(WEEKLY, **{"except": ["2026-12-24", *BREAKS]})
    fields = forms.stored(replace(STORED, recurrence=text))

    assert (fields.shape, fields.rows) == ("rows", (ROW,))
    assert fields.breaks == (BreakRow("2026-12-24", "2026-12-24"), SUMMER)
    assert validate(fields.recurrence) == validate(text)
    assert forms.stored(replace(STORED, recurrence=fields.recurrence)) == fields


TIMES = st.builds("{}:{:02}".format, st.integers(0, 23), st.integers(0, 59))
DAYS = {"weekday": st.sampled_from(WEEKDAYS), "start_time": TIMES}
ENDS = {"end_time": TIMES | st.none()}
WEEKS = st.fixed_dictionaries(
    {"type": st.just("weekly"), **DAYS}, optional={**ENDS, "every_n_weeks": st.integers(1, MOST_WEEKS)}
)
MONTHS = st.fixed_dictionaries(
    {
        "type": st.just("monthly_nth_weekday"),
        **DAYS,
        "which": st.lists(st.sampled_from([1, 2, 3, 4, 5, -1]), min_size=1),
    },
    optional=ENDS,
)


@given(st.lists(WEEKS | MONTHS, min_size=1, max_size=5))
def test_all_that_the_reader_of_documents_accepts_rows_can_say(schedules: list[dict[str, object]]) -> None:
    text = text_of(*schedules)
    fields = forms.stored(replace(STORED, recurrence=text))

    assert fields.recurrence is not None
    assert fields.shape == "rows"
    assert validate(fields.recurrence).schedules == validate(text).schedules


def test_as_many_rows_as_there_may_be_are_rows() -> None:
    assert len(forms.stored(replace(STORED, recurrence=text_of(*[WEEKLY] * MOST_ROWS))).rows) == MOST_ROWS


@pytest.mark.parametrize("nothing", [None, "", "  "])
def test_without_a_recurrence_there_are_no_rows(nothing: str | None) -> None:
    fields = forms.stored(replace(STORED, recurrence=nothing))

    assert (fields.shape, fields.rows, fields.text, fields.recurrence) == ("rows", (), "", None)


def test_the_other_columns_are_shown_as_text() -> None:
    session = replace(
        STORED,
        initiation_date=date(2026, 1, 8),
        termination_date=date(2026, 12, 31),
        active_buffer_minutes_before=15,
        active_buffer_minutes_after=0,
    )
    shown = forms.stored(session)
    assert (shown.timezone, shown.initiation_date, shown.termination_date) == (
        "Europe/Dublin",
        "2026-01-08",
        "2026-12-31",
    )
    assert (shown.before, shown.after) == ("15", "0")
    bare = forms.stored(replace(STORED, timezone=None))
    assert (bare.timezone, bare.initiation_date, bare.termination_date) == ("", "", "")


# What was sent


def sent(**fields: str) -> Fields:
    return forms.submitted(MultiDict(fields))


def test_spaces_around_what_was_sent_do_not_count() -> None:
    fields = forms.submitted(
        MultiDict(
            {
                "shape": "rows",
                "rows": "1",
                "weekday-0": "friday",
                "every-0": "2",
                "start-0": " 19:00 ",
                "end-0": " 22:30 ",
                "timezone": " UTC ",
                "initiation_date": " 2026-01-08 ",
                "termination_date": " 2026-12-31 ",
                "before": " 15 ",
                "after": " 0 ",
            }
        )
    )

    row = Row("friday", "2", (), "19:00", "22:30")
    assert fields == Fields("rows", (row,), "", "UTC", "2026-01-08", "2026-12-31", "15", "0")


def test_of_the_boxes_those_that_exist_count() -> None:
    form = MultiDict([("rows", "1"), ("which-0", "1"), ("which-0", "7"), ("which-0", "-1")])

    assert forms.submitted(form).rows[0].which == ("1", "-1")


@pytest.mark.parametrize(
    ("rows", "how_many"),
    [("0", 0), ("3", 3), ("999", MOST_ROWS), ("1000", 0), ("-1", 0), ("x", 0), ("\u0663", 0), ("", 0)],
)
def test_the_number_of_rows_is_a_small_number_or_none(rows: str, how_many: int) -> None:
    assert len(sent(rows=rows).rows) == how_many


@pytest.mark.parametrize(("shape", "taken"), [("text", "text"), ("rows", "rows"), ("else", "rows")])
def test_there_are_two_shapes(shape: str, taken: str) -> None:
    assert sent(shape=shape).shape == taken


RULE = "RRULE:FREQ=WEEKLY;BYDAY=TH"


@pytest.mark.parametrize(
    ("form", "stored", "shape", "text"),
    [
        ({"shape": "rows", "text": RULE}, "", "", RULE),
        ({"shape": "rows", "text": f"{RULE}\r\n"}, f"{RULE}\n", "rows", f"{RULE}\r\n"),
        ({"shape": "rows", "text": " "}, RULE, "rows", " "),
        ({"text": RULE, "asked": "1"}, "", "", RULE),
        ({"shape": "rows", "text": RULE, "asked": "1"}, "", "rows", ""),
        ({"shape": "text", "text": RULE, "asked": "1"}, "", "text", RULE),
    ],
    ids=["typed", "as stored", "removed", "asked", "then rows", "then the text"],
)
def test_who_typed_a_text_beside_the_times_is_asked_which_counts(
    form: dict[str, str], stored: str, shape: str, text: str
) -> None:
    fields = forms.submitted(MultiDict(form), stored)

    assert (fields.shape, fields.text) == (shape, text)
    assert (forms.checked(fields).errors.get("rows") == forms.WHICH_COUNTS) is (shape == "")


def test_an_empty_form_is_empty() -> None:
    assert sent() == Fields("rows", (), "", "", "", "", "", "")


# What is wrong with it


def errors(**fields: object) -> dict[str, str]:
    return dict(forms.checked(replace(FIELDS, **fields)).errors)  # type: ignore[arg-type] # the test knows their types


def test_a_right_form_says_which_columns_to_write() -> None:
    fields = replace(FIELDS, initiation_date="2026-01-08", termination_date="2026-12-31", before="0", after="1440")
    checked = forms.checked(fields)

    assert checked.errors == {}
    assert checked.columns == {
        "recurrence": text_of(WEEKLY),
        "timezone": "Europe/Dublin",
        "initiation_date": date(2026, 1, 8),
        "termination_date": date(2026, 12, 31),
        "active_buffer_minutes_before": 0,
        "active_buffer_minutes_after": 1440,
    }
    assert checked.recurrence.schedules
    assert checked.digest != forms.checked(replace(fields, before="1")).digest
    assert checked.digest == forms.checked(fields).digest


@pytest.mark.parametrize("minutes", ["", "-1", "1441", "1.5", "x", "\u0663", "00060", "1e2"])
def test_a_buffer_is_a_number_of_minutes_up_to_a_day(minutes: str) -> None:
    told = "Give a whole number of minutes from 0 to 1440."
    assert errors(before=minutes) == {"before": told}
    assert errors(after=minutes) == {"after": told}


@pytest.mark.parametrize(
    ("day", "told"),
    [
        ("8 January", "Give a date such as 2026-11-26."),
        ("1899-12-31", "Give a year from 1900 to 2199."),
        ("2200-01-01", "Give a year from 1900 to 2199."),
    ],
)
def test_a_date_is_one_of_these_centuries(day: str, told: str) -> None:
    assert errors(initiation_date=day)["initiation_date"] == told
    assert errors(termination_date=day)["termination_date"] == told


@pytest.mark.parametrize("day", ["1900-01-01", "2199-12-31"])
def test_the_first_and_the_last_year_are_accepted(day: str) -> None:
    assert errors(initiation_date=day) == {}


@pytest.mark.parametrize(
    ("first", "last", "wrong"),
    [("2026-02-01", "2026-01-31", True), ("2026-02-01", "2026-02-01", False), ("", "2026-01-01", False)],
)
def test_the_last_date_is_not_before_the_first(first: str, last: str, *, wrong: bool) -> None:
    assert ("termination_date" in errors(initiation_date=first, termination_date=last)) is wrong


def test_a_session_that_is_not_on_every_week_needs_a_first_date() -> None:
    fortnightly = (replace(ROW, every="2"),)
    assert "Its first date says" in errors(rows=fortnightly)["initiation_date"]
    assert errors(rows=fortnightly, initiation_date="2026-01-08") == {}
    assert errors(rows=fortnightly, initiation_date="x")["initiation_date"] == "Give a date such as 2026-11-26."


@pytest.mark.parametrize(
    ("row", "field", "told"),
    [
        (replace(ROW, start_time=""), "start_time", "Give the time when it starts."),
        (replace(MONTHLY_ROW, which=()), "which", "Choose which ones in each month. Tick at least one box."),
        (replace(ROW, weekday="someday"), "weekday", "Choose a day of the week."),
        (replace(ROW, end_time="19:00"), "end_time", ENDS_AT_ITS_START),
        (replace(ROW, start_time="9:00", end_time="09:00"), "end_time", ENDS_AT_ITS_START),
        (replace(ROW, every="0"), "every_n_weeks", "Choose how often: every 1 to 52 weeks, or each month."),
        (replace(ROW, every="53"), "every_n_weeks", "Choose how often: every 1 to 52 weeks, or each month."),
        (replace(ROW, every="\u0662"), "every_n_weeks", "Choose how often: every 1 to 52 weeks, or each month."),
        (replace(ROW, every="x"), "every_n_weeks", "Choose how often: every 1 to 52 weeks, or each month."),
        (replace(ROW, every="0001"), "every_n_weeks", "Choose how often: every 1 to 52 weeks, or each month."),
    ],
)
def test_each_wrong_field_of_a_row_has_its_own_error(row: Row, field: str, told: str) -> None:
    assert errors(rows=(ROW, row), initiation_date="2026-01-08") == {f"row-1-{field}": told}


@pytest.mark.parametrize("row", [MONTHLY_ROW, replace(ROW, every="52"), replace(ROW, end_time="")])
def test_a_right_row_has_none(row: Row) -> None:
    assert errors(rows=(row,), initiation_date="2026-01-08") == {}


@pytest.mark.parametrize(
    ("fields", "field", "told"),
    [
        (
            {"rows": (ROW, replace(ROW, end_time="25:00"))},
            "row-1-end_time",
            "Until is '25:00'. Accepted: a time from '0:00' to '23:59' (midnight is '0:00').",
        ),
        ({"rows": (ROW, replace(ROW, start_time="x"))}, "row-1-start_time", "From is 'x'. Accepted: a time from"),
        (
            {"shape": "text", "text": '{"schedules": [{"type": "weekly"}]}'},
            "text",
            "In schedule 1, weekday is missing. Accepted: one of monday, ",
        ),
        (
            {"shape": "text", "text": "Thursdays"},
            "text",
            "We cannot read “Thursdays”. It is easier to choose “These times” above. It is no JSON from line 1, column",
        ),
    ],
    ids=["end", "start", "place in a text", "text"],
)
def test_what_the_reader_of_recurrences_refuses_stands_at_its_field(
    fields: dict[str, object], field: str, told: str
) -> None:
    [(name, message)] = errors(**fields).items()

    assert name == field
    assert told in message
    assert message[:1] == message[:1].upper()
    assert message.endswith((".", "?"))
    assert not message.endswith("..")


def test_rows_too_long_together_are_told_at_the_rows() -> None:
    assert forms._field_of(FIELDS, "a recurrence has at most 100 schedules") == "rows"
    assert forms._field_of(FIELDS, "schedules[3] is not an object") == "row-3-weekday"
    assert forms._field_of(FIELDS, "except[0].from is odd") == "rows"


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ("a recurrence has at most 100 schedules", "A recurrence has at most 100 schedules."),
        ("schedules[3] is not an object", "Day is not an object."),
        ("schedules[3].start_time is odd", "From is odd."),
    ],
)
def test_an_error_is_told_by_the_label_of_its_field(message: str, told: str) -> None:
    assert forms._told(FIELDS, message) == told


def test_an_error_of_a_break_keeps_its_own_words() -> None:
    told = forms._told(FIELDS, "except[0].from is odd")

    assert told.endswith("is odd.")
    assert not told.startswith(("Day", "This time"))


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("row-0-start_time", "From"),
        ("row-1-start_time", "From (2)"),
        ("timezone", "Time zone"),
        ("rows", "These times"),
    ],
)
def test_a_field_has_the_label_that_the_form_shows(name: str, label: str) -> None:
    assert forms.label(name) == label


def test_an_unknown_zone_is_told_once_and_stays_in_the_form() -> None:
    checked = forms.checked(replace(FIELDS, timezone="Europe/Dubln"))

    assert checked.errors.keys() == {"timezone"}
    assert checked.errors["timezone"].endswith(("?", "."))
    assert checked.columns["timezone"] == "Europe/Dubln"


def test_rows_that_are_not_chosen_may_be_wrong() -> None:
    assert errors(shape="text", rows=(replace(ROW, start_time=""),)) == {}


def test_an_empty_text_is_no_recurrence() -> None:
    assert forms.checked(replace(FIELDS, shape="text", text="  ")).columns["recurrence"] is None
    assert errors(shape="text", text="") == {}


# Breaks


def test_r7_a_break_is_part_of_what_is_stored() -> None:
    checked = forms.checked(replace(FIELDS, breaks=(SUMMER, BreakRow("2026-12-24"), BreakRow())))

    assert checked.errors == {}
    assert checked.text == text_of(WEEKLY, **{"except": [*BREAKS, {"from": "2026-12-24", "to": "2026-12-24"}]}).replace(
        "Gr\\u00fcnen", "Grünen"
    )


def test_r7_a_break_of_a_text_is_added_to_it() -> None:
    rule = "DTSTART:20260702T193000\nRRULE:FREQ=WEEKLY;BYDAY=TH"
    days = replace(FIELDS, shape="text", rows=(), breaks=(replace(SUMMER, last="2026-07-10"),))

    assert forms.checked(replace(days, text=rule)).text == f"{rule}\nEXDATE:20260702T193000,20260709T193000"
    document = forms.checked(replace(days, text=text_of(WEEKLY))).text
    assert document is not None
    assert json.loads(document)["except"][0] == BREAKS[0] | {"to": "2026-07-10"}
    one_day = replace(days, breaks=(BreakRow("2026-07-09"),))
    assert forms.checked(replace(one_day, text=rule)).text == f"{rule}\nEXDATE:20260709T193000"
    document = forms.checked(replace(one_day, text=text_of(WEEKLY))).text
    assert document is not None
    assert "why" not in document
    assert (forms.checked(one_day).text, errors(shape="text", text="", breaks=(SUMMER,))) == (None, {})


def test_r7_a_reason_has_a_hundred_characters_at_most() -> None:
    assert errors(breaks=(replace(SUMMER, why="x" * 100),)) == {}


@pytest.mark.parametrize(
    ("row", "field", "told"),
    [
        (replace(SUMMER, first=""), "first", "Give the first day of the break."),
        (BreakRow("", "2026-08-31"), "first", "Give the first day of the break."),
        (BreakRow("", "", "Ferien"), "first", "Give the first day of the break."),
        (replace(SUMMER, first="July"), "first", "Give a date such as 2026-11-26."),
        (BreakRow("July"), "first", "Give a date such as 2026-11-26."),
        (replace(SUMMER, last="31 August"), "last", "Give a date such as 2026-11-26."),
        (
            replace(SUMMER, last="2026-06-30"),
            "last",
            "The last day off is before the first. Choose Wednesday 1 July 2026 or later.",
        ),
        (
            replace(SUMMER, why="x" * 101),
            "why",
            "This reason cannot be saved. Accepted: at most 100 characters, on one line.",
        ),
        (
            replace(SUMMER, why="a\nb"),
            "why",
            "This reason cannot be saved. Accepted: at most 100 characters, on one line.",
        ),
    ],
)
def test_r7_each_wrong_field_of_a_break_has_its_own_error(row: BreakRow, field: str, told: str) -> None:
    for shape in ("rows", "text"):
        assert errors(shape=shape, breaks=(BreakRow("2026-12-24"), row)) == {f"break-1-{field}": told}


def test_breaks_are_read_from_what_was_sent() -> None:
    fields = sent(**{
        "breaks": "2",
        "break-first-0": " 2026-07-01 ", "break-last-0": " 2026-08-31 ", "break-why-0": " Ferien am Grünen See ",
        "break-first-1": "2026-12-24",
    })  # fmt: skip

    assert fields.breaks == (SUMMER, BreakRow("2026-12-24"))
    assert len(sent(breaks="101").breaks) == 100
    assert sent(breaks="-1").breaks == sent(breaks="x").breaks == ()


# A calendar rule without DTSTART

AT_SEVEN = "DTSTART:20261105T190000"


@pytest.mark.parametrize(
    ("text", "rows", "stored"),
    [
        (RULE, (ROW,), f"{RULE}\nDURATION:PT210M\nDTSTART:20261105T190000"),
        (RULE, (replace(ROW, end_time="01:00"),), f"{RULE}\nDURATION:PT360M\nDTSTART:20261105T190000"),
        (RULE, (replace(ROW, start_time="9:00", end_time=""),), f"{RULE}\nDTSTART:20261105T090000"),
        (RULE, (replace(ROW, end_time="19:00"),), f"{RULE}\nDTSTART:20261105T190000"),
        (f"EXDATE:20261112T190000\n{RULE}", (ROW,), f"EXDATE:20261112T190000\n{RULE}\nDURATION:PT210M\n{AT_SEVEN}"),
        (f"{RULE}\n{AT_SEVEN}", (ROW,), f"{RULE}\n{AT_SEVEN}"),
        (f"{RULE}\nDURATION:PT2H", (ROW,), f"{RULE}\nDURATION:PT2H\nDTSTART:20261105T190000"),
        (f"{RULE};BYHOUR=20;BYMINUTE=30", (), f"{RULE};BYHOUR=20;BYMINUTE=30\nDTSTART:20261105T203000"),
        (f"{RULE};BYHOUR=20;BYMINUTE=30", (ROW,), f"{RULE};BYHOUR=20;BYMINUTE=30\nDTSTART:20261105T203000"),
        (
            "RRULE:FREQ=WEEKLY;INTERVAL=2;BYDAY=SU,TU",
            (ROW,),
            "RRULE:FREQ=WEEKLY;INTERVAL=2;BYDAY=SU,TU\nDURATION:PT210M\nDTSTART:20261103T190000",
        ),
    ],
    ids=[
        "hours of the row",
        "past midnight",
        "no end",
        "no length",
        "a line before",
        "it has one",
        "a length of its own",
        "hours of its own",
        "rather",
        "weeks",
    ],
)
def test_a_rule_without_a_start_begins_on_the_first_date_that_it_yields(
    text: str, rows: tuple[Row, ...], stored: str
) -> None:
    fields = replace(FIELDS, shape="text", text=text, rows=rows, initiation_date="2026-11-02")
    checked = forms.checked(fields)

    assert (checked.errors, checked.text) == ({}, stored)
    assert fields.text == text, "the form keeps what was typed"


@pytest.mark.parametrize(
    ("fields", "wrong", "told"),
    [
        ({"text": RULE, "rows": (ROW,)}, ["initiation_date"], "Give the first date."),
        ({"text": RULE, "initiation_date": "2026-11-02"}, ["text"], "does not say at what time it starts. Accepted:"),
        ({"text": RULE, "rows": (replace(ROW, start_time="x"),)}, ["text", "initiation_date"], "at what time"),
        ({"text": f"{RULE};BYHOUR=25", "initiation_date": "2026-11-02"}, ["text"], "Line 1, RRULE, BYHOUR is"),
        ({"text": RULE, "rows": (ROW,), "initiation_date": "x"}, ["initiation_date"], "Give a date such as"),
    ],
)
def test_what_a_rule_without_a_start_still_lacks_is_said(
    fields: dict[str, object], wrong: list[str], told: str
) -> None:
    found = errors(**{"shape": "text", "rows": ()} | fields)

    assert [*found] == wrong or {*found} == {*wrong}
    assert told in " ".join(found.values())
