"""What the pages know about the app that mounts them, and about the viewer."""

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from flask import abort, current_app, g, request, session
from sqlalchemy import Connection, Engine

from core.db.transactions import joined
from core.errors import UnknownTimeZone
from core.store.views import pages
from core.store.views.pages import InstanceRow, PersonRow, SessionRow
from core.timezones import require_zone
from web.hub import Hub

EXTENSION = "seisiun"
NOTICES = "seisiun_notices"
ZONE_COOKIE = "seisiun_zone"

CurrentPerson = Callable[[], int | None]
Organises = Callable[[int], Collection[int]]
MayOperate = Callable[[int], bool]


@dataclass(frozen=True, slots=True)
class Host:
    """The callbacks of the host app, and what we keep for its process; without `may_operate` nobody operates."""

    engine: Engine
    health_engine: Engine
    hub: Hub
    current_person: CurrentPerson
    organises: Organises
    site_url: str | None
    sign_in_url: str | None
    may_operate: MayOperate | None


@dataclass(frozen=True, slots=True)
class Viewer:
    """The viewer of a page; `person` is None if nobody is signed in."""

    person: PersonRow | None
    organised: Collection[int]
    zone: str | None

    @property
    def person_id(self) -> int | None:
        """The person's id, None for the public."""
        return self.person.person_id if self.person else None

    def organises(self, session_id: int) -> bool:
        """Whether they organise this session."""
        return session_id in self.organised


def host() -> Host:
    """Return what the app that is serving this request has mounted."""
    found: Host = current_app.extensions[EXTENSION]
    return found


@contextmanager
def transaction() -> Iterator[Connection]:
    """Yield a connection, whose values our casts read; what was written is committed at the end."""
    with host().engine.begin() as connection, joined(connection):
        yield connection


def viewer() -> Viewer:
    """Return the viewer; ask the host app once in a request."""
    if "seisiun_viewer" not in g:
        g.seisiun_viewer = _ask()
    found: Viewer = g.seisiun_viewer
    return found


def _ask() -> Viewer:
    person_id = host().current_person()
    person = None
    if person_id is not None:
        with transaction() as connection:
            person = pages.person(connection, person_id)
    organised = host().organises(person.person_id) if person else ()
    return Viewer(person, organised, _zone())


def nobody() -> Viewer:
    """Return a viewer who is not signed in, without asking host or database."""
    return Viewer(None, (), _zone())


def _zone() -> str | None:
    try:
        return require_zone(request.cookies.get(ZONE_COOKIE))
    except UnknownTimeZone:
        return None


def require_person() -> PersonRow:
    """Return the person who is signed in; refuse everybody else."""
    return viewer().person or abort(403, "Sign in first: only people who are signed in may do this.")


def require_organiser(session_id: int) -> None:
    """Refuse a viewer who does not organise this session."""
    require_person()
    if not viewer().organises(session_id):
        abort(403, "Only this session's organisers may do that.")


def require_operator() -> None:
    """Refuse a viewer who may not see the operator's page; answer 404 where the host app has not switched it on."""
    may_operate = host().may_operate or abort(404)
    if not may_operate(require_person().person_id):
        abort(403, "Only operators may see this.")


def require_session(connection: Connection, session_id: int, *, for_update: bool = False) -> SessionRow:
    """Return the session; answer 404 if there is none."""
    return pages.session(connection, session_id, for_update=for_update) or abort(404, "There is no such session.")


def require_instance(connection: Connection, session_instance_id: int) -> InstanceRow:
    """Return the instance; answer 404 if there is none."""
    return pages.instance(connection, session_instance_id) or abort(404, "There is no such evening.")


def notice(text: str) -> None:
    """Show a text at the top of the next page. We do not use Flask's flash: it belongs to the host's own pages."""
    session[NOTICES] = [*session.get(NOTICES, []), text][-5:]


def notices() -> list[str]:
    """Return the texts to show, and forget them."""
    found: list[str] = session.pop(NOTICES, [])
    return found
