"""Arrays as single parameters: a statement's text stays the same, however many values it gets.

Therefore we build each statement only once; building one takes twice as long as running it. We send an array as one
literal, `'{1,2,3}'`. The driver would send ARRAY[1,2,3]; the server needs five times as long to parse that.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, time
from typing import Any

from sqlalchemy import ARRAY, BigInteger, ColumnElement, Dialect, Text, bindparam, cast, column, func
from sqlalchemy.orm import InstrumentedAttribute
from sqlalchemy.types import TypeDecorator, TypeEngine

IdColumn = ColumnElement[int] | InstrumentedAttribute[int] | InstrumentedAttribute[int | None]


def is_in(ids: IdColumn, name: str = "ids") -> ColumnElement[bool]:
    """Return `ids = ANY (:name)`; the parameter is a collection of ids."""
    return ids == func.any(id_array(name))


def id_array(name: str) -> ColumnElement[Any]:
    """Return the parameter `:name`, a collection of ids."""
    return array(name, BigInteger())


def array(name: str, element: TypeEngine[Any]) -> ColumnElement[Any]:
    """Return the parameter `:name`, a collection of values of type `element`."""
    return cast(bindparam(name, type_=_ArrayLiteral()), ARRAY(element))


class _ArrayLiteral(TypeDecorator[Iterable[object]]):
    """Sends values as the text of a PostgreSQL array."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Iterable[object] | None, dialect: Dialect) -> str:  # noqa: ARG002 -- SQLAlchemy's
        return array_literal(value or ())


def array_literal(values: Iterable[object]) -> str:
    """Return these values as the text of a PostgreSQL array."""
    return f"{{{','.join(map(_element, values))}}}"


def _element(value: object) -> str:
    match value:
        case int():
            return str(value)
        case None:
            return "NULL"
        case date() | time():
            return f'"{value.isoformat()}"'
        case _:
            escaped = str(value).replace("\\", r"\\").replace('"', r"\"")
            return f'"{escaped}"'


class ValueTable:
    """A table of values in a statement, `unnest(...) AS name(columns)`, with one array parameter per column."""

    def __init__(self, name: str, types: Mapping[str, TypeEngine[Any]]) -> None:
        self._parameters = [f"{name}_{label}" for label in types]
        arrays = [array(parameter, type_) for parameter, type_ in zip(self._parameters, types.values(), strict=True)]
        columns = [column(label, type_) for label, type_ in types.items()]
        self.table = func.unnest(*arrays).table_valued(*columns, name=name).render_derived(name=name)
        self.c = self.table.c

    def of(self, rows: Sequence[tuple[object, ...]]) -> dict[str, list[object]]:
        """Return the parameters that fill the table with these rows; a row has one value per column, in order."""
        columns = map(list, zip(*rows, strict=True)) if rows else ([] for _ in self._parameters)
        return dict(zip(self._parameters, columns, strict=True))
