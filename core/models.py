"""The tables: four of the app, with only the columns that we use, and the scheduler's own.

`core.migrations` makes and adopts the tables; their triggers, indexes and constraints are there, and not in these
classes. A variable with a SQLAlchemy session is always called `db`, because `session` means a music session.
"""

import re
from datetime import date, datetime, time
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, DateTime, Double, ForeignKey, Identity, Integer, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

INSTANT = DateTime(timezone=True)
LocalDateTime = DateTime(timezone=False)
CANNOT_BE_STORED = re.compile("[\0\ud800-\udfff]")
"""PostgreSQL stores no NUL, and UTF-8 has no half of a surrogate pair."""


class Base(DeclarativeBase):
    """The base of all mapped classes: every `datetime` is a `timestamptz` unless its column says otherwise."""

    type_annotation_map = {  # noqa: RUF012 -- SQLAlchemy reads it from the class
        datetime: INSTANT,
        float: Double(),
        int: BigInteger(),
        str: Text(),
        dict[str, Any]: JSONB(),
    }


class MusicSession(Base):
    """A recurring music session."""

    __tablename__ = "session"

    session_id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    name: Mapped[str]
    path: Mapped[str | None]
    city: Mapped[str | None]
    state: Mapped[str | None]
    country: Mapped[str | None]
    timezone: Mapped[str | None]
    recurrence: Mapped[str | None]
    initiation_date: Mapped[date | None]
    termination_date: Mapped[date | None]
    active_buffer_minutes_before: Mapped[int] = mapped_column(Integer, server_default="60")
    active_buffer_minutes_after: Mapped[int] = mapped_column(Integer, server_default="60")


class SessionInstance(Base):
    """A session on one date; its times are local to the session's zone (T1)."""

    __tablename__ = "session_instance"

    session_instance_id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    session_id: Mapped[int] = mapped_column(ForeignKey("session.session_id", ondelete="CASCADE"))
    date: Mapped[date]
    start_time: Mapped[time | None]
    end_time: Mapped[time | None]
    location_override: Mapped[str | None]
    is_cancelled: Mapped[bool | None] = mapped_column(server_default="false")
    cancel_reason: Mapped[str | None]
    comments: Mapped[str | None]
    active: Mapped[bool] = mapped_column(server_default="false")


class Person(Base):
    """A musician; `active_session_instance_id` is the active instance where they are now, or NULL."""

    __tablename__ = "person"

    person_id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    first_name: Mapped[str | None]
    last_name: Mapped[str | None]
    email: Mapped[str | None]
    city: Mapped[str | None]
    state: Mapped[str | None]
    country: Mapped[str | None]
    active_session_instance_id: Mapped[int | None] = mapped_column(
        ForeignKey("active_instance.session_instance_id", ondelete="SET NULL")
    )


class SessionInstancePerson(Base):
    """What a person said about an instance: yes (a check-in), maybe or no; and when they left it."""

    __tablename__ = "session_instance_person"

    session_instance_id: Mapped[int] = mapped_column(
        ForeignKey("session_instance.session_instance_id", ondelete="CASCADE"), primary_key=True
    )
    person_id: Mapped[int] = mapped_column(ForeignKey("person.person_id", ondelete="CASCADE"), primary_key=True)
    attendance: Mapped[str | None]
    comment: Mapped[str | None]
    created_date: Mapped[datetime | None]
    last_modified_date: Mapped[datetime | None]
    checked_in_at: Mapped[datetime | None]
    left_at: Mapped[datetime | None]


class ActiveInstance(Base):
    """The active instances, at most one per session. Only a trigger writes this mirror of `session_instance.active`."""

    __tablename__ = "active_instance"

    session_instance_id: Mapped[int] = mapped_column(
        ForeignKey("session_instance.session_instance_id", ondelete="CASCADE"), primary_key=True
    )
    session_id: Mapped[int]


class PlanRequest(Base):
    """A request to reconcile a session. Our triggers only insert such rows, so no transaction of the app waits."""

    __tablename__ = "plan_request"

    request_id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    session_id: Mapped[int]
    requested_at: Mapped[datetime]
    about: Mapped[str] = mapped_column(server_default="hours")


class SessionPlan(Base):
    """One row per session, inserted with it: how far it is planned, and when to plan again. A pass locks this row."""

    __tablename__ = "session_plan"

    session_id: Mapped[int] = mapped_column(ForeignKey("session.session_id", ondelete="CASCADE"), primary_key=True)
    planned_through: Mapped[datetime | None]
    next_plan_at: Mapped[datetime | None]
    zone_version: Mapped[str | None]
    error: Mapped[str | None]
    failures: Mapped[int] = mapped_column(Integer, server_default="0")
    failed_at: Mapped[datetime | None]
    retry_at: Mapped[datetime | None]


class PlannedInstance(Base):
    """The occurrence that an instance is bound to (local times); `written`: what the planner wrote, or NULL."""

    __tablename__ = "planned_instance"

    session_instance_id: Mapped[int] = mapped_column(
        ForeignKey("session_instance.session_instance_id", ondelete="CASCADE"), primary_key=True
    )
    session_id: Mapped[int]
    occurrence_start: Mapped[datetime] = mapped_column(LocalDateTime)
    occurrence_end: Mapped[datetime] = mapped_column(LocalDateTime)
    lost: Mapped[bool]
    moved: Mapped[bool]
    written: Mapped[dict[str, Any] | None]


class ActivationWindow(Base):
    """A span `[opens_at, closes_at)` in which an instance should be active. This table is the schedule."""

    __tablename__ = "activation_window"

    session_instance_id: Mapped[int] = mapped_column(
        ForeignKey("session_instance.session_instance_id", ondelete="CASCADE"), primary_key=True
    )
    opens_at: Mapped[datetime] = mapped_column(primary_key=True)
    closes_at: Mapped[datetime]
    session_id: Mapped[int]
    starts_at: Mapped[datetime]
    phase: Mapped[str]
    planned_at: Mapped[datetime]


class SkippedOccurrence(Base):
    """The local start of an occurrence whose instance somebody deleted: the planner does not make it again."""

    __tablename__ = "skipped_occurrence"

    session_id: Mapped[int] = mapped_column(primary_key=True)
    occurrence_start: Mapped[datetime] = mapped_column(LocalDateTime, primary_key=True)


class Choice(Base):
    """What this database has chosen; `migrate` writes it."""

    __tablename__ = "seisiun_choice"

    name: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[str]


class DeactivatedPerson(Base):
    """A person that the app has deactivated; a trigger keeps this table. Such a person is nowhere."""

    __tablename__ = "deactivated_person"

    person_id: Mapped[int] = mapped_column(ForeignKey("person.person_id", ondelete="CASCADE"), primary_key=True)


class DaemonHeartbeat(Base):
    """One row per daemon of the last day; every instant is by the database's clock.

    `ended`: why it ended, in words, at `beat_at`. NULL while it runs, and where it was killed or cut off.
    """

    __tablename__ = "daemon_heartbeat"

    daemon_id: Mapped[UUID] = mapped_column(Uuid(), primary_key=True)
    host: Mapped[str]
    pid: Mapped[int] = mapped_column(Integer)
    version: Mapped[str]
    started_at: Mapped[datetime]
    beat_at: Mapped[datetime]
    last_look_at: Mapped[datetime | None]
    listening_since: Mapped[datetime | None]
    next_timer_at: Mapped[datetime | None]
    clock_offset_ms: Mapped[float]
    zone_version: Mapped[str]
    trouble: Mapped[str | None]
    ended: Mapped[str | None]
    counters: Mapped[dict[str, Any]] = mapped_column(JSONB)


class ActivationLog(Base):
    """One row per flip, inserted in the flip's transaction.

    `change`: what the flip means to an app (`Change`), NULL in rows of earlier releases. `daemon`: host and process id
    of the daemon that made it; NULL where it was a hook, the sweep or a trigger.
    """

    __tablename__ = "activation_log"

    activation_log_id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    session_instance_id: Mapped[int]
    session_id: Mapped[int]
    active: Mapped[bool]
    due_at: Mapped[datetime]
    done_at: Mapped[datetime]
    cause: Mapped[str]
    change: Mapped[str | None]
    daemon: Mapped[str | None]
