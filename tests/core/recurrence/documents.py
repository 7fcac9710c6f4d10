"""Builders of recurrence documents."""

import json
from collections.abc import Sequence
from typing import Any

from core.recurrence import Recurrence, validate

Document = dict[str, Any]


def weekly(weekday: Any = "thursday", start: Any = "19:30", end: Any = "22:30", **more: Any) -> Document:
    return {"type": "weekly", "weekday": weekday, "start_time": start, "end_time": end, **more}


def monthly(which: Any, weekday: Any = "sunday", start: Any = "15:00", end: Any = "18:00") -> Document:
    return {
        "type": "monthly_nth_weekday",
        "weekday": weekday,
        "which": which,
        "start_time": start,
        "end_time": end,
    }


def text_of(*schedules: Any) -> str:
    return json.dumps({"schedules": schedules})


def with_breaks(breaks: Any, *schedules: Any) -> str:
    return json.dumps({"schedules": schedules, "except": breaks})


def span(first: Any, last: Any, **more: Any) -> Document:
    return {"from": first, "to": last, **more}


def recurrence(*schedules: Document, breaks: Sequence[Any] = ()) -> Recurrence:
    return validate(with_breaks([*breaks], *schedules))
