"""Ids as apps hand them in: what is none gets an error of ours, before a statement fails in the app's transaction."""

import math
import operator
from decimal import Decimal

_LARGEST = 2**63 - 1


def is_id(text: str) -> bool:
    """Return whether a text is an id: only ASCII digits, and few enough to fit into eight bytes."""
    return text.isascii() and text.isdigit() and len(text) < 19


def id_of(value: object) -> int | None:
    """Return the id that a value means: a whole number of eight bytes, or its digits. None if it means none."""
    if isinstance(value, str):
        return int(value) if is_id(value) else None
    if isinstance(value, bool):
        return None
    if isinstance(value, Decimal | float):
        value = int(value) if math.isfinite(value) and value == int(value) else None
    try:
        number = operator.index(value)  # type: ignore[arg-type] # that is what it tells
    except TypeError:
        return None
    return number if abs(number) <= _LARGEST else None


def require_id(value: object, what: str, error: type[Exception]) -> int:
    """Return the id that a value means. Raises `error`, which names the value."""
    found = id_of(value)
    if found is None:
        raise error(f"there is no {what} {value!r}; expected an id, which is a whole number")
    return found
