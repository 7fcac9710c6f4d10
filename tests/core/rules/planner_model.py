"""Builders of sessions for the planner, and what a database would be after a plan."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta

from core.rules.overlaps import ActiveSpan
from core.rules.planner import Binding, InstanceSnapshot, NewInstance, Plan, SessionSnapshot, plan

HORIZON = timedelta(hours=24)
LENGTH = timedelta(hours=3)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def wall(text: str) -> datetime:
    return datetime.fromisoformat(text)


def weekly(weekday: str, start: str, end: str | None = None) -> dict[str, object]:
    return {"type": "weekly", "weekday": weekday, "start_time": start, "end_time": end}


def recurring(*schedules: Mapping[str, object], breaks: Sequence[object] = ()) -> str:
    document: dict[str, object] = {"schedules": schedules}
    return json.dumps(document | ({"except": breaks} if breaks else {}))


def bound(start: str, end: str, *, lost: bool = False, moved: bool = False) -> Binding:
    """`end` may be a time of day alone: the start's date is meant."""
    day = start.split(maxsplit=1)[0]
    return Binding(wall(start), wall(end if " " in end else f"{day} {end}"), lost, moved)


def row(
    session_instance_id: int,
    day: str,
    start: str | None = None,
    end: str | None = None,
    binding: Binding | None = None,
    *,
    cancelled: bool = False,
    untouched: bool = False,
    has_opened: bool = False,
) -> InstanceSnapshot:
    return InstanceSnapshot(
        session_instance_id,
        date.fromisoformat(day),
        time.fromisoformat(start) if start else None,
        time.fromisoformat(end) if end else None,
        cancelled,
        binding,
        untouched,
        has_opened,
    )


def session(
    *rows: InstanceSnapshot,
    recurrence: str | None = None,
    timezone: str | None = "Europe/Dublin",
    since: str | None = None,
    until: str | None = None,
    before: int = 60,
    after: int = 60,
    skipped: tuple[str, ...] = (),
) -> SessionSnapshot:
    return SessionSnapshot(
        12,
        recurrence,
        timezone,
        date.fromisoformat(since) if since else None,
        date.fromisoformat(until) if until else None,
        before,
        after,
        rows,
        frozenset(map(wall, skipped)),
    )


def planned(snapshot: SessionSnapshot, now: str | datetime, wanted: str | None = None) -> Plan:
    at = utc(now) if isinstance(now, str) else now
    start = wall(wanted) if wanted else None
    return plan(snapshot, at, horizon=HORIZON, default_length=LENGTH, wanted=start)


def windows(plan: Plan) -> list[tuple[int, str, str]]:
    """The active spans as text, `day hour:minute`, in UTC."""
    return [
        (span.session_instance_id, f"{span.window.opens_at:%d %H:%M}", f"{span.window.closes_at:%d %H:%M}")
        for span in plan.windows
    ]


def apply(plan: Plan, snapshot: SessionSnapshot, *, referred_to: frozenset[int] = frozenset()) -> SessionSnapshot:
    """What the store would make of it; rows in `referred_to` may not be deleted."""
    deleted = plan.deletable - referred_to
    standing = [
        _written(plan, instance) for instance in snapshot.instances if instance.session_instance_id not in deleted
    ]
    made = [_row_of(new, _id_of(new.key, snapshot)) for new in plan.made]
    return replace(snapshot, instances=(*standing, *made))


def spans_after(plan: Plan, snapshot: SessionSnapshot) -> tuple[ActiveSpan, ...]:
    """The plan's spans, with the ids that `apply` gives to what is made."""
    return tuple(replace(span, session_instance_id=_id_of(span.session_instance_id, snapshot)) for span in plan.windows)


def _id_of(key: int, snapshot: SessionSnapshot) -> int:
    """Return the id of a new row: from 101 on, so that it is none that a builder gave and a plan deleted."""
    highest = max((instance.session_instance_id for instance in snapshot.instances), default=0)
    return key if key > 0 else max(highest, 100) - key


def _row_of(new: NewInstance, session_instance_id: int) -> InstanceSnapshot:
    return InstanceSnapshot(
        session_instance_id,
        new.date,
        new.start_time,
        new.end_time,
        is_cancelled=False,
        binding=new.binding,
        untouched=True,
    )


def _written(plan: Plan, instance: InstanceSnapshot) -> InstanceSnapshot:
    binding = plan.bound.get(instance.session_instance_id, instance.binding)
    if instance.session_instance_id in plan.unbound:
        binding = None
    # With the binding goes what the planner wrote, so the planner knows no more whether a person touched the row.
    written = replace(instance, binding=binding, untouched=instance.untouched and binding is not None)
    for change in plan.retimed:
        if change.session_instance_id == instance.session_instance_id:
            written = replace(written, date=change.date, start_time=change.start_time, end_time=change.end_time)
    return written
