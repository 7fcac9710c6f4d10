import pytest
from click.testing import CliRunner, Result

from scheduler.cli import main
from tests.core.recurrence.documents import span, text_of, weekly, with_breaks

CHANGE = "clocks go back 1 h at 02:00 on Sun 25 Oct"
SATURDAYS = text_of(weekly("saturday", "22:00", "1:30", every_n_weeks=2))


def preview(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["preview", *arguments])


def rows(result: Result) -> list[str]:
    """The table's rows, with single spaces."""
    return [" ".join(line.split()) for line in result.stdout.splitlines()[2:]]


def test_r1_occurrences_and_their_windows_in_local_time_and_utc() -> None:
    result = preview(
        SATURDAYS, "--zone", "Europe/Dublin", "--from", "2026-10-01", "--days", "31", "--initiation-date", "2026-10-10"
    )

    assert result.exit_code == 0
    assert result.stderr == ""
    assert result.stdout.startswith("Every other Saturday, 10pm-1:30am (Europe/Dublin)\n")
    assert rows(result) == [
        "Sat 10 Oct 2026 22:00-01:30 Sat 21:00 - Sun 02:30 2026-10-10 20:00 - 2026-10-11 01:30",
        f"Sat 24 Oct 2026 22:00-01:30 Sat 21:00 - Sun 01:30 2026-10-24 20:00 - 2026-10-25 01:30 {CHANGE}",
    ]


def test_r7_breaks_are_told_and_their_dates_are_left_out() -> None:
    text = with_breaks([span("2026-07-01", "2026-08-31", why="summer break")], weekly())

    result = preview(text, "--zone", "America/New_York", "--from", "2026-06-25", "--days", "75")

    assert result.stdout.startswith(
        "Thursdays, 7:30-10:30pm; but not from 1 July 2026 to 31 August 2026 (summer break) (America/New_York)\n"
    )
    assert [row[:15] for row in rows(result)] == ["Thu 25 Jun 2026", "Thu 03 Sep 2026"]
    nothing = preview(text, "--zone", "America/New_York", "--from", "2026-07-01", "--days", "7")
    assert nothing.stdout.endswith("the next date is Thu 03 Sep 2026\n")


def test_r2_warns_where_the_weeks_may_be_wrong() -> None:
    arguments = (SATURDAYS, "--zone", "Europe/Dublin", "--from", "2026-10-01")

    assert preview(*arguments, "--initiation-date", "2026-10-10").stderr == ""
    assert preview(*arguments).stderr == (
        "warning: it skips weeks; without --initiation-date they may be the wrong weeks\n"
    )


def test_r5_text_with_warnings() -> None:
    text = "DTSTART;TZID=America/New_York:20261105T193000\nRRULE:FREQ=WEEKLY;COUNT=2;"

    result = preview(text, "--zone", "America/New_York", "--from", "2026-11-01")

    assert result.exit_code == 0
    assert result.stderr == (
        "warning: line 2, RRULE has an empty part; expected no ';;', and no ';' at the end "
        "(a form would refuse to save it)\n"
    )
    assert rows(result) == [
        "Thu 05 Nov 2026 19:30 Thu 18:30 - Thu 23:30 2026-11-05 23:30 - 2026-11-06 04:30",
        "Thu 12 Nov 2026 19:30 Thu 18:30 - Thu 23:30 2026-11-12 23:30 - 2026-11-13 04:30",
    ]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("Thursdays", "--zone", "Europe/Dublin"), "Error: 'Thursdays' is not JSON"),
        (("DTSTART:20261105T193000Z", "--zone", "UTC"), "Error: line 1, DTSTART is '20261105T193000Z'; expected "),
        ((SATURDAYS, "--zone", "Dublin"), "Error: 'Dublin' is not a known time zone; expected 'Europe/Dublin'"),
        ((SATURDAYS, "--zone", "UTC", "--from", "1899-12-31"), "Usage: "),
        ((SATURDAYS,), "Usage: "),
    ],
)
def test_what_cannot_be_read_is_told(arguments: tuple[str, ...], told: str) -> None:
    result = preview(*arguments)

    assert result.exit_code > 0
    assert result.stdout == ""
    assert result.stderr.startswith(told)


@pytest.mark.parametrize(
    ("recurrence", "first", "told"),
    [
        (SATURDAYS, "2026-10-05", "nothing occurs in the 7 days from 2026-10-05; the next date is Sat 17 Oct 2026\n"),
        ("", "2026-10-05", "nothing occurs in the 7 days from 2026-10-05; there is no later date\n"),
        (SATURDAYS, "9999-12-30", "nothing occurs in the 7 days from 9999-12-30; there is no later date\n"),
    ],
)
def test_an_empty_list_says_so(recurrence: str, first: str, told: str) -> None:
    result = preview(recurrence, "--zone", "Europe/Dublin", "--from", first, "--days", "7")

    assert result.exit_code == 0
    assert result.stdout.endswith(told)


def test_it_begins_today() -> None:
    result = preview(text_of(weekly("monday"), weekly("thursday")), "--zone", "Pacific/Kiritimati", "--days", "7")

    assert len(rows(result)) == 2
