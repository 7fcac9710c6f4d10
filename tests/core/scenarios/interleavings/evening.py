"""One evening around the present minute, who takes part in it, and cases: who, in which order, and what must hold.

`first` is on until the minute 0, `second` from then on, `through` and `beside` all the time. They are sessions without
buffers, of one instance each. The people's yeses are as old as the case says. The hours are near the server's present,
so that the app's triggers request what they request in production.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import pairwise
from typing import Any

import pytest
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class
from sqlalchemy import Engine

from core.active_session_manager import ReconcileResult, check_in, leave, session_saved, update_active_sessions
from core.db.transactions import transactions
from core.reconcile.batches import reconcile
from core.reconcile.chunk import ensure
from core.reconcile.result import PassOptions
from core.rules.flips import Cause
from core.settings import load_settings
from core.store.queue.due import Search
from tests.core.rules.presence_model import as_it_should_be, as_stored
from tests.core.scenarios.interleavings.actors import BLOCKED, END, Actor
from tests.data import add_check_in, add_instance, add_person, add_session, execute, person_at, requests

MINUTE, SECOND = timedelta(minutes=1), timedelta(seconds=1)
BEFORE, AT = -SECOND, timedelta(0)  # an instant is told from the minute 0
LONG_AGO = -60 * MINUTE  # a yes of then was said before anything opened
HOURS = {"first": (-30, 0), "second": (0, 30), "through": (-30, 30), "beside": (-30, 30)}
START, LATER = 60 * MINUTE, 65 * MINUTE  # of the occurrence of the recurrence `weekly`, and of `later`
NO_BUFFERS: dict[str, Any] = {"active_buffer_minutes_before": 0, "active_buffer_minutes_after": 0}
PEOPLE = ("Ann", "Bob")
SETTINGS = load_settings()


class Evening:
    """The rows, and the ids of those that have a name."""

    def __init__(self, engine: Engine, app: Connection, connect: Callable[[], Connection]) -> None:
        self.engine, self.app, self.connect = engine, app, connect
        self.base = datetime.now(UTC).replace(second=0, microsecond=0)
        self.sessions: dict[str, int] = {}
        self.instances: dict[str, int] = {}
        for name, (opens, closes) in HOURS.items():
            self.sessions[name] = add_session(app, timezone="UTC", **NO_BUFFERS)
            self.instances[name] = self.add_instance(name, opens * MINUTE, closes * MINUTE)
        self.people = {name: add_person(app) for name in PEOPLE}

    def add_instance(self, session: str, starts: timedelta, ends: timedelta) -> int:
        start, end = self.base + starts, self.base + ends
        return add_instance(self.app, self.sessions[session], f"{start:%Y-%m-%d}", f"{start:%H:%M}", f"{end:%H:%M}")

    @property
    def names(self) -> dict[str, object]:
        """What a statement may name: `%(first)s` is an instance, `%(first_session)s` its session, `%(Ann)s` a person.

        And a recurrence, `%(weekly)s`, with an occurrence in an hour; and the same with a later start, `%(later)s`.
        """
        start, later, end = (self.base + at for at in (START, LATER, 2 * START))
        recurrences = {"weekly": weekly(start, end), "later": weekly(later, end)}
        occurrence = {"date": start.date(), "start": start.time(), "end": end.time()}
        sessions = {f"{name}_session": id_ for name, id_ in self.sessions.items()}
        return recurrences | occurrence | sessions | self.instances | self.people

    def write(self, statement: str, db: Connection | None = None) -> None:
        with (db or self.app).cursor() as cursor:
            cursor.execute(statement, self.names)

    def at(self, person: str) -> str | None:
        """Return the name of the instance where a person is."""
        instance = person_at(self.app, self.people[person])
        return next((name for name, id_ in self.instances.items() if id_ == instance), None)

    def requested(self) -> set[str]:
        return {name for name, id_ in self.sessions.items() if id_ in requests(self.app)}

    def flips(self) -> list[tuple[str, bool, str]]:
        """Return the log of flips: which instance, on or off, the cause."""
        names = {id_: name for name, id_ in self.instances.items()}
        log = "SELECT session_instance_id, active, cause FROM activation_log ORDER BY activation_log_id"
        return [(names.get(id_, str(id_)), active, cause) for id_, active, cause in execute(self.app, log)]

    def be_quiet(self, at: timedelta) -> None:
        """Reconcile until nothing is due."""
        for _ in range(5):
            if update_active_sessions(self.engine, self.base + at, cause=Cause.START) == ReconcileResult():
                return
        raise AssertionError("the passes do not come to an end")

    def check(self, at: timedelta) -> None:
        """Assert that the database says what follows from the rows; that no instance and no flip is there twice."""
        assert as_stored(self.app) == as_it_should_be(self.app, self.base + at)
        assert not self.requested()
        twins = "SELECT 1 FROM session_instance GROUP BY session_id, date, start_time HAVING count(*) > 1"
        assert execute(self.app, twins) == []
        flips = self.flips()
        for name in {name for name, _, _ in flips}:
            states = [active for instance, active, _ in flips if instance == name]
            assert all(before != after for before, after in pairwise(states)), flips


def weekly(start: datetime, end: datetime) -> str:
    """Return the recurrence of which today's occurrence is from `start` to `end`, in UTC."""
    schedule = {"type": "weekly", "weekday": f"{start:%A}".lower()}
    return json.dumps({"schedules": [schedule | {"start_time": f"{start:%H:%M}", "end_time": f"{end:%H:%M}"}]})


# Who takes part

Part = Callable[[Evening, Actor], object]


def passes(at: timedelta | None, *names: str) -> Part:
    """A daemon reconciles these sessions alone, as of an instant; None: by the database's clock."""

    def work(evening: Evening, _: Actor) -> ReconcileResult:
        others = frozenset(id_ for name, id_ in evening.sessions.items() if name not in names)
        now = None if at is None else evening.base + at
        return reconcile(evening.engine, PassOptions(Cause.TIMER, SETTINGS, now), Search(excluded=others), rounds=1)

    return work


def ensures(session: str, at: timedelta) -> Part:
    """Somebody asks once for the instance of an occurrence; None: another transaction is in the way."""

    def work(evening: Evening, _: Actor) -> int | None:
        with transactions(evening.engine) as begin, begin() as connection:
            start = (evening.base + at).replace(tzinfo=None)
            return ensure(connection, SETTINGS, evening.sessions[session], start)

    return work


def says(person: str, attendance: str, instance: str, at: timedelta = BEFORE) -> Part:
    """The app checks somebody in."""
    return _in_the_app(
        lambda evening, db: check_in(
            db, evening.people[person], evening.instances[instance], attendance, now=evening.base + at
        )
    )


def leaves(person: str, instance: str, at: timedelta = BEFORE) -> Part:
    """Somebody leaves."""
    return _in_the_app(
        lambda evening, db: leave(db, evening.people[person], evening.instances[instance], now=evening.base + at)
    )


def saves(session: str, statement: str, at: timedelta = BEFORE) -> Part:
    """The app writes something of a session, and calls the hook."""

    def work(evening: Evening, db: Connection) -> ReconcileResult:
        evening.write(statement, db)
        return session_saved(db, evening.sessions[session], now=evening.base + at)

    return _in_the_app(work)


def writes(statement: str) -> Part:
    """The app writes without any hook."""
    return _in_the_app(lambda evening, db: evening.write(statement, db))


def _in_the_app(work: Callable[[Evening, Connection], object]) -> Part:
    def part(evening: Evening, actor: Actor) -> object:
        db = evening.connect()
        actor.connected(db.info.backend_pid)
        execute(db, f"SET lock_timeout = '{'60s' if actor.may_wait else '250ms'}'")
        result = work(evening, db)
        actor.commits()
        db.commit()
        return result

    return part


# Cases

Yes = tuple[str, str, timedelta]  # who, to what, when
Results = Mapping[str, Any]


@dataclass(frozen=True)
class Case:
    """A race.

    who    who takes part
    order  who goes on to which point; at the end everybody has ended
    yeses  what people said before; then a pass as of the second before the minute 0
    given  what else is so before
    then   what holds as soon as the order is done; then a quiet pass as of `at` must leave what the rows say
    fails  whose own statement must fail, and how: it comes too late
    """

    who: Mapping[str, Part]
    order: Sequence[tuple[str, str]]
    then: Callable[[Evening, Results], None] = lambda _evening, _results: None
    yeses: Sequence[Yes] = ()
    given: Callable[[Evening], None] = lambda _: None
    at: timedelta = AT
    fails: Mapping[str, type[Exception]] = field(default_factory=dict)


def deferred(*names: str) -> Callable[[Evening, Results], None]:
    """`pass` has left these sessions, and no others, to the next one."""

    def then(evening: Evening, results: Results) -> None:
        assert results["pass"].deferred == {evening.sessions[name] for name in names}

    return then


def nothing_deferred(_: Evening, results: Results) -> None:
    assert not results["pass"].deferred


def requested(*names: str) -> Callable[[Evening, Results], None]:
    def then(evening: Evening, _: Results) -> None:
        assert evening.requested() == {*names}

    return then


def both(*conditions: Callable[[Evening, Results], None]) -> Callable[[Evening, Results], None]:
    def then(evening: Evening, results: Results) -> None:
        for condition in conditions:
            condition(evening, results)

    return then


def play(evening: Evening, case: Case) -> None:
    for person, instance, at in case.yeses:
        add_check_in(evening.app, evening.instances[instance], evening.people[person], checked_in_at=evening.base + at)
    evening.be_quiet(BEFORE)
    case.given(evening)
    actors = {
        name: Actor(name, partial(part, evening), may_wait=(name, BLOCKED) in case.order)
        for name, part in case.who.items()
    }
    try:
        for name, target in case.order:
            too_late = target == END and name in case.fails
            with pytest.raises(case.fails[name]) if too_late else nullcontext():
                actors[name].step(target, evening.app)
    finally:
        for actor in actors.values():
            actor.finish()
    assert {name for name, target in case.order if target == END} == case.who.keys()
    case.then(evening, {name: actor.result for name, actor in actors.items()})
    # Nobody has waited until a timeout, or run into a key: the product handles such errors, so nothing else shows them.
    assert {name: actor.errors for name, actor in actors.items() if actor.errors} == {}
    evening.be_quiet(case.at)
    evening.check(case.at)
