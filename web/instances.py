"""One evening: say yes, maybe or no; who is here, who is coming; what else is on in town."""

from dataclasses import dataclass
from datetime import datetime

from flask import abort, redirect, render_template, request, url_for
from sqlalchemy import Connection
from werkzeug.wrappers import Response

from core.active_session_manager import (
    CheckedIn,
    Place,
    WhoIsHere,
    WhyNot,
    check_in,
    elsewhere_in_town,
    leave,
    remove_check_in,
    whereabouts,
    who_is_here,
)
from core.db.transaction_settings import clock
from core.hooks import ATTENDANCES, LONGEST_COMMENT
from core.ids import is_id
from core.recurrence import Occurrence
from core.settings import load_settings
from core.store.views import boards, pages, search
from core.store.views.pages import InstanceRow, PersonRow, SessionRow
from core.store.views.places import Town
from core.windows import StatedHours
from web import dates, forms, words
from web.board import Entry, entry
from web.host import notice, require_instance, require_organiser, require_person, require_session, transaction, viewer
from web.search import MOST_EXAMINED

TAKE_BACK, KEEP = "nothing", "keep"
"""Beside yes, maybe and no: take the answer back; keep it, and save the comment (what Enter in its field means)."""
MOST_FOUND = 12
CALLED_OFF = "This evening is cancelled, so it takes no answers."
NO_LONGER = "This evening no longer fits the session's pattern and does not take place, so it takes no answers."
NOT_ON = "This evening is not on now, so you are not counted there. Nothing is changed."


@dataclass(frozen=True, slots=True)
class Evening:
    """An instance as its page shows it; `at`: where the viewer is.

    `said`, `at`, `who` and `found` are None for those who may not see them.
    """

    instance: InstanceRow
    session: SessionRow
    state: str
    is_over: bool
    why_unplanned: str
    music: str
    stated: StatedHours | None
    hours: Occurrence | None
    beside: str | None
    said: pages.AttendanceRow | None
    at: Place | None
    who: WhoIsHere | None
    elsewhere: list[Entry]
    that_day: list[tuple[SessionRow, dates.Date]]
    found: list[PersonRow] | None


def page(session_instance_id: int, unsaved: str | None = None) -> str:
    """Show an evening; names of people only to those who are signed in.

    `unsaved`: a comment that the viewer typed, and that cannot be saved because they have said nothing.
    """
    with transaction() as connection:
        evening = _evening(connection, session_instance_id)
    return render_template(
        "seisiun/instance.html",
        evening=evening,
        unsaved=unsaved,
        longest_comment=LONGEST_COMMENT,
    )


def _evening(connection: Connection, session_instance_id: int) -> Evening:
    instance = require_instance(connection, session_instance_id)
    session = require_session(connection, instance.session_id)
    hours = words.occurrence(instance, load_settings().default_length)
    person_id = viewer().person_id
    now = clock(connection)
    stated = words.stated(hours, session.timezone)
    is_over = dates.is_over(dates.of_instance(instance), session, now)
    is_organiser = viewer().organises(session.session_id)
    return Evening(
        instance,
        session,
        _state(instance, is_over=is_over),
        is_over,
        _why_unplanned(instance, session, hours),
        words.music(stated, session.timezone, now, states_end=hours is not None and hours.states_end),
        stated,
        hours,
        words.beside(hours, session.timezone, viewer().zone),
        pages.said(connection, session_instance_id, person_id) if person_id else None,
        whereabouts(connection, person_id) if person_id else None,
        who_is_here(connection, session_instance_id) if person_id else None,
        _elsewhere(connection, session_instance_id, now),
        _that_day(connection, instance, session) if instance.is_off else [],
        _found(connection) if is_organiser else None,
    )


def _found(connection: Connection) -> list[PersonRow]:
    """Return the people whom an organiser looks for; nobody before they type: there may be a million."""
    who = request.args.get("who", "")[:100].strip()
    return pages.people_named(connection, who, MOST_FOUND) if who else []


def _elsewhere(connection: Connection, session_instance_id: int, now: datetime) -> list[Entry]:
    """Return what else is on in town, by name."""
    others = elsewhere_in_town(connection, session_instance_id)
    windows = boards.windows_of(connection, [place.session_instance_id for place in others])
    return sorted((entry(now, row, None) for row in windows), key=lambda one: (one.name, one.session_instance_id))


def _that_day(
    connection: Connection, instance: InstanceRow, session: SessionRow
) -> list[tuple[SessionRow, dates.Date]]:
    """Return what else takes place in town on the day of an evening, by start, also what is not planned yet."""
    if not session.city:
        return []
    town = Town(session.city, session.state, session.country)
    in_town = search.sessions_in_town(connection, town, "", MOST_EXAMINED)
    on_day = dates.of_each(connection, in_town, instance.date, instance.date)
    others = [(other, one) for other in in_town for one in on_day[other.session_id] if not one.is_off]
    return sorted(others, key=lambda other: other[1].sorts_by)


def _state(instance: InstanceRow, *, is_over: bool) -> str:
    """Return cancelled, on, lost (it no longer fits the pattern), over, ahead, or unplanned (it has no window)."""
    states = (
        (instance.is_cancelled, "cancelled"),
        (instance.active, "on"),
        (instance.is_lost, "lost"),
        (is_over, "over"),
        (instance.closes_at, "ahead"),
    )
    return next((state for holds, state in states if holds), "unplanned")


def _why_unplanned(instance: InstanceRow, session: SessionRow, hours: Occurrence | None) -> str:
    """Return why an evening that fits the pattern has no window."""
    if session.termination_date and instance.date > session.termination_date:
        last = words.day_and_year(session.termination_date)
        return f"Does not take place: the last date of this session is {last}"
    if hours is None:
        return "No times yet"
    if words.stated(hours, session.timezone) is None:
        return "Its times are not certain: the time zone of this session is not known"
    return "Its times are being worked out. Look again in a minute"


# What people say


def say(session_instance_id: int) -> Response | tuple[str, int]:
    """Record what the viewer says about this evening; a yes while it is on means that the viewer is there."""
    person = require_person()
    attendance, comment = _attendance(TAKE_BACK, KEEP), _comment()
    if attendance == KEEP:
        return _keep(session_instance_id, person.person_id, comment)
    with transaction() as connection:
        before = whereabouts(connection, person.person_id)
        if attendance == TAKE_BACK:
            require_instance(connection, session_instance_id)
            remove_check_in(connection, person.person_id, session_instance_id)
            notice("Your answer is removed.")
        elif said := record(connection, person.person_id, session_instance_id, attendance, comment):
            notice(told(attendance, said) + _moved_from(before, said))
    return _to(session_instance_id)


def record(
    connection: Connection, person_id: int, session_instance_id: int, attendance: str, comment: str | None = None
) -> CheckedIn | None:
    """Record what a person says about an evening. If it does not take place, say that instead, and return None.

    A page that was open, and not live, may still ask.
    """
    instance = require_instance(connection, session_instance_id)
    if instance.is_off:
        notice(CALLED_OFF if instance.is_cancelled else NO_LONGER)
        return None
    return check_in(connection, person_id, session_instance_id, attendance, comment)


def _keep(session_instance_id: int, person_id: int, comment: str | None) -> Response | tuple[str, int]:
    with transaction() as connection:
        if comment is None:
            said = pages.said(connection, session_instance_id, person_id)
            kept = said and said.attendance
        else:
            kept = pages.set_comment(connection, session_instance_id, person_id, comment)
    if kept is None:
        return page(session_instance_id, comment or ""), 400
    notice(f"Your comment is saved. You said {kept}.")
    return _to(session_instance_id)


def go(session_instance_id: int) -> Response:
    """Record that the viewer has left this evening; their yes stays for the record."""
    person = require_person()
    with transaction() as connection:
        if require_instance(connection, session_instance_id).active:
            left = leave(connection, person.person_id, session_instance_id)
            notice("You have left." + (" It takes effect in a moment." if left.deferred else ""))
        else:  # a page that was open, and not live: leaving would take them away from where they are by now
            notice(NOT_ON)
    return _to(session_instance_id)


def say_for(session_instance_id: int) -> Response:
    """Record what an organiser says for somebody else."""
    attendance = _attendance(TAKE_BACK)
    with transaction() as connection:
        instance = require_instance(connection, session_instance_id)
        require_organiser(instance.session_id)
        person = pages.person(connection, _person_id()) or abort(404, "There is no such person.")
        if attendance == TAKE_BACK:
            remove_check_in(connection, person.person_id, session_instance_id)
            notice(f"Taken back for {words.full_name(person)}.")
        elif said := record(connection, person.person_id, session_instance_id, attendance):
            is_here = said.at is not None and said.at.session_instance_id == session_instance_id
            notice(f"{words.full_name(person)} {'is here.' if is_here else f'said {attendance}.'}")
    return _to(session_instance_id)


def _attendance(*others: str) -> str:
    attendance = request.form.get("attendance", "")
    if attendance not in {*ATTENDANCES, *others}:
        abort(400, "Say yes, maybe or no.")
    return attendance


def _comment() -> str | None:
    """Return the comment; None if the form has none, or as it was shown: it may have changed since."""
    comment, was = request.form.get("comment"), request.form.get("was-comment")
    if comment is None or (was is not None and forms.is_same(forms.plain(comment), forms.plain(was))):
        return None
    if len(comment) > LONGEST_COMMENT:
        abort(400, f"A comment may have at most {LONGEST_COMMENT} characters; this one has {len(comment)}.")
    return forms.plain(comment)


def _person_id() -> int:
    text = request.form.get("person_id", "")
    if not is_id(text):
        abort(404, "There is no such person.")
    return int(text)


def told(attendance: str, said: CheckedIn) -> str:
    """Return the notice for a person who said that."""
    if attendance != "yes":
        return {"maybe": "You said maybe.", "no": "You said no."}[attendance]
    if said.deferred:
        return "You said yes; you will be there in a moment."
    if said.why_not is None:
        return "You're here. Enjoy the tunes!"
    return {
        WhyNot.NOT_OPEN_YET: "You said yes. We count you there when it opens, unless you are somewhere else then.",
        WhyNot.OVER: "Your answer is saved: you were there. This evening is over now.",
        WhyNot.CANCELLED: CALLED_OFF,
        WhyNot.NO_WINDOW: "You said yes. This evening has no times yet. We count you there when it opens.",
        WhyNot.DEFERRED: "You said yes; you will be there in a moment.",
    }[said.why_not]


def _moved_from(before: Place | None, said: CheckedIn) -> str:
    """Return where a person is no longer, if saying that moved them."""
    if before is None or said.at is None or said.at.session_instance_id == before.session_instance_id:
        return ""
    return f" You are no longer at {before.name}."


def _to(session_instance_id: int) -> Response:
    return redirect(url_for(".instance", session_instance_id=session_instance_id), 303)
