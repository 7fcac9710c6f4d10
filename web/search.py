"""Sessions: found by the beginning of a name or a town, in a town, on a day; the viewer's own town comes first."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any

from flask import abort, current_app, render_template, request, url_for
from sqlalchemy import Connection

from core.db.transaction_settings import clock
from core.ids import is_id
from core.store.views import search
from core.store.views.pages import SessionRow
from core.store.views.places import Town
from core.timezones import to_local
from web import board, calendar, dates, words
from web.board import LONGEST_TEXT
from web.dates import Date
from web.host import transaction, viewer
from web.settings import POLL_SECONDS
from web.strips import DAY_BEGINS

MOST_FOUND = 20
MOST_EXAMINED = 200
"""The most sessions whose recurrences one list reads to find those that meet on a day."""
MOST_TOWNS = 12
DAYS_OFFERED = 14


@dataclass(frozen=True, slots=True)
class Asked:
    """What the viewer looks for: the beginning of a name, a town, a day; `after`: where the last page ended."""

    text: str
    town: Town | None
    day: date | None
    after: int | None


@dataclass(frozen=True, slots=True)
class Found:
    """A session, its pattern in words, and its dates on the day that was asked for; `today`: else its date of today."""

    session: SessionRow
    pattern: str | None
    dates: list[Date]
    today: Date | None


@dataclass(frozen=True, slots=True)
class Section:
    """A list of sessions under a heading; `more`: the address of the rest, None if there is none."""

    heading: str
    found: list[Found]
    more: str | None


def page() -> str:
    """Show the sessions that were asked for, each list at most a page long."""
    asked = _asked()
    with transaction() as connection:
        now = clock(connection)
        person_id = viewer().person_id
        home = search.town_of(connection, person_id) if person_id else None
        towns = _towns(connection, asked)
        sections = _sections(connection, asked, home, towns)
        of_today = _of_today(asked, towns)
        parts = (board.Part(of_today),)
        snapshot = board.read(connection, parts) if of_today else None
    return render_template(
        "seisiun/sessions.html",
        asked=asked,
        feed=calendar.links(f"{url_for('.town_calendar')}?{words.town_query(asked.town)}") if asked.town else None,
        longest=LONGEST_TEXT,
        board=snapshot and board.one_board(current_app, snapshot if person_id else snapshot.public(), parts),
        area=words.town_query(of_today) if of_today else None,
        poll_seconds=POLL_SECONDS,
        towns=[] if snapshot else towns,
        sections=sections,
        days=_days(now),
        is_over=lambda date, session: dates.is_over(date, session, now),
    )


def _asked() -> Asked:
    text, day, after = (request.args.get(name, "").strip() for name in ("q", "day", "after"))
    try:
        wanted = date.fromisoformat(day) if day else None
    except ValueError:
        abort(400, f"The day is {day[:40]!r}; give a date such as 2026-11-26.")
    return Asked(text[:LONGEST_TEXT], board.town_of(request.args), wanted, int(after) if is_id(after) else None)


def _days(now: datetime) -> list[tuple[date, str]]:
    """Return the days to choose from, by the viewer's own date; a day of music ends at six in the morning."""
    local = to_local(now, viewer().zone or "UTC")
    is_night = local.time() < DAY_BEGINS
    named = [f", until {words.clock(DAY_BEGINS)}"] * is_night + [", today", ", tomorrow"]
    named += [""] * (DAYS_OFFERED - len(named))
    first = local.date() - timedelta(days=is_night)
    return [(first + timedelta(days=number), name) for number, name in enumerate(named)]


def _towns(connection: Connection, asked: Asked) -> list[Town]:
    if not asked.text or asked.town or asked.after:
        return []
    city, comma, _ = asked.text.partition(",")
    found = search.towns_named(connection, city.strip(), MOST_TOWNS)
    return [town for town in found if _is_named(town, asked.text)] if comma else found


def _is_named(town: Town, text: str) -> bool:
    """Return whether the whole name of a town, with its state or without, begins as in "Los Angeles, CA"."""
    begins = ", ".join(part.strip() for part in text.split(",")).casefold()
    return any(words.whole_town(one).casefold().startswith(begins) for one in (town, replace(town, state=None)))


def _of_today(asked: Asked, towns: list[Town]) -> Town | None:
    """Return the town whose day is shown above the lists: the one that was asked for, or the only one of this name."""
    if asked.day or asked.after or (asked.town and asked.text):
        return None
    return asked.town or (towns[0] if len(towns) == 1 else None)


def _sections(connection: Connection, asked: Asked, home: Town | None, towns: list[Town]) -> list[Section]:
    """Return the lists: the town that was asked for; or else the viewer's own, the only one of this name, and all."""
    if asked.town:
        return [_of_town(connection, asked, asked.town, asked.text)]
    found = [_of_town(connection, asked, home, asked.text)] if home and not asked.after else []
    found += [_of_town(connection, asked, town, "") for town in towns if len(towns) == 1]
    shown = {one.session.session_id for section in found for one in section.found}
    rows = search.sessions_named(connection, asked.text, _most(asked) + 1, after=asked.after)
    heading = f"Names that begin with “{asked.text}”" if asked.text else "Everywhere"
    everywhere = _section(connection, asked, heading, rows, {"q": asked.text})
    found.append(replace(everywhere, found=[one for one in everywhere.found if one.session.session_id not in shown]))
    return [section for section in found if section.found or section.more]


def _of_town(connection: Connection, asked: Asked, town: Town, text: str) -> Section:
    rows = search.sessions_in_town(connection, town, text, _most(asked) + 1, after=asked.after)
    return _section(connection, asked, f"In {words.whole_town(town)}", rows, asdict(town) | {"q": text})


def _most(asked: Asked) -> int:
    return MOST_EXAMINED if asked.day else MOST_FOUND


def _section(
    connection: Connection, asked: Asked, heading: str, rows: list[SessionRow], address: Mapping[str, str | None]
) -> Section:
    """Return a page of a list; `rows` are one more than it examines if there are more; `address` leads to the list."""
    examined = rows[: _most(asked)]
    on_day = dates.of_each(connection, examined, asked.day, asked.day) if asked.day else {}
    meeting = [session for session in examined if not asked.day or on_day[session.session_id]][:MOST_FOUND]
    last = meeting[-1] if len(meeting) == MOST_FOUND else examined[-1] if examined else None
    more = None
    if last and last != rows[-1]:
        query: dict[str, Any] = {name: value for name, value in address.items() if value}
        more = url_for(".sessions", **query, day=asked.day, after=last.session_id)
    today = {} if asked.day else _today(connection, meeting)
    found = [_found(one, on_day.get(one.session_id, []), today.get(one.session_id)) for one in meeting]
    return Section(heading, found, more)


def _today(connection: Connection, sessions: list[SessionRow]) -> dict[int, Date]:
    """Return the date that is on, or that is today by the session's own clocks: session id -> date."""
    now = clock(connection)
    near = dates.of_each(connection, sessions, now.date() - dates.FARTHEST_ZONE, now.date() + dates.FARTHEST_ZONE)
    return {
        session.session_id: one
        for session in sessions
        for one in near[session.session_id]
        if _is_today(one, session, now)
    }


def _is_today(one: Date, session: SessionRow, now: datetime) -> bool:
    if one.is_off:
        return False
    if one.instance and one.instance.active:
        return True
    night = timedelta(hours=DAY_BEGINS.hour)
    return one.day == dates.today(session, now - night) and not dates.is_over(one, session, now)


def _found(session: SessionRow, on_day: list[Date], today: Date | None) -> Found:
    recurrence = dates.recurrence_of(session)
    return Found(session, words.pattern(recurrence) if recurrence else None, on_day, today)
