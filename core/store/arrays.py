"""Many values in one statement: arrays as one parameter each, so that a statement's text does not grow with them.

And so that it can be made once: making one takes twice as long as running it. Each goes to the server as one literal,
`'{1,2,3}'`; the driver's own ARRAY[1,2,3] is parsed number by number, which takes the server five times as long.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, time
from typing import Any

from sqlalchemy import ARRAY, BigInteger, ColumnElement, Dialect, Text, bindparam, cast, column, func
from sqlalchemy.orm import InstrumentedAttribute
from sqlalchemy.types import TypeDecorator, TypeEngine

IdColumn = ColumnElement[int] | InstrumentedAttribute[int] | InstrumentedAttribute[int | None]


def is_in(ids: IdColumn, name: str = "ids") -> ColumnElement[bool]:
    """Return `ids = ANY (:name)`; the parameter is a list of ids."""
    return ids == func.any(id_array(name))


def id_array(name: str) -> ColumnElement[Any]:
    """Return the parameter `:name`, a list of ids."""
    return array(name, BigInteger())


def array(name: str, element: TypeEngine[Any]) -> ColumnElement[Any]:
    """Return the parameter `:name`, a list of such values."""
    return cast(bindparam(name, type_=_ArrayLiteral()), ARRAY(element))


class _ArrayLiteral(TypeDecorator[Iterable[object]]):
    """A list of values, as PostgreSQL writes an array."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Iterable[object] | None, dialect: Dialect) -> str:  # noqa: ARG002 -- SQLAlchemy's
        return f"{{{','.join(map(_element, value or ()))}}}"


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
    """`unnest(...) AS name(columns)`: a table of values, one array parameter per column."""

    def __init__(self, name: str, types: Mapping[str, TypeEngine[Any]]) -> None:
        self._parameters = [f"{name}_{label}" for label in types]
        arrays = [array(parameter, type_) for parameter, type_ in zip(self._parameters, types.values(), strict=True)]
        columns = [column(label, type_) for label, type_ in types.items()]
        self.table = func.unnest(*arrays).table_valued(*columns, name=name).render_derived()
        self.c = self.table.c

    def of(self, rows: Sequence[tuple[object, ...]]) -> dict[str, list[object]]:
        """Return the parameters that make these rows the table's; in each the values stand in the columns' order."""
        columns = map(list, zip(*rows, strict=True)) if rows else ([] for _ in self._parameters)
        return dict(zip(self._parameters, columns, strict=True))
