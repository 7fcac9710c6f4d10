"""Sessions: found by the beginning of a name or a town, in a town, on a day; the viewer's own town comes first."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any

from flask import abort, current_app, render_template, request, url_for
from sqlalchemy import Connection

from core.db.transaction_settings import clock
from core.models import is_id
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
    """A session, its pattern in words, and its dates on the day that was asked for."""

    session: SessionRow
    pattern: str | None
    dates: list[Date]


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
        today = _today(clock(connection))
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
        towns=towns if len(towns) > 1 else [],
        sections=sections,
        days=[today + timedelta(days=number) for number in range(DAYS_OFFERED)],
    )


def _asked() -> Asked:
    text, day, after = (request.args.get(name, "").strip() for name in ("q", "day", "after"))
    try:
        wanted = date.fromisoformat(day) if day else None
    except ValueError:
        abort(400, f"The day is {day[:40]!r}; give a date such as 2026-11-26.")
    return Asked(text[:LONGEST_TEXT], board.town_of(request.args), wanted, int(after) if is_id(after) else None)


def _today(now: datetime) -> date:
    """Return the viewer's own date; a day of music ends at six in the morning."""
    local = to_local(now, viewer().zone or "UTC")
    return (local - timedelta(hours=DAY_BEGINS.hour)).date()


def _towns(connection: Connection, asked: Asked) -> list[Town]:
    if not asked.text or asked.town or asked.after:
        return []
    return search.towns_named(connection, asked.text, MOST_TOWNS)


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
    return Section(heading, [_found(session, on_day.get(session.session_id, [])) for session in meeting], more)


def _found(session: SessionRow, on_day: list[Date]) -> Found:
    recurrence = dates.recurrence_of(session)
    return Found(session, words.pattern(recurrence) if recurrence else None, on_day)
