"""Many values in one statement: arrays as one parameter each, so that a statement's text does not grow with them."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import ARRAY, BigInteger, ColumnElement, TableValuedAlias, cast, column, func, literal
from sqlalchemy.orm import InstrumentedAttribute
from sqlalchemy.types import TypeEngine

IdColumn = ColumnElement[int] | InstrumentedAttribute[int] | InstrumentedAttribute[int | None]


def is_in(ids: IdColumn, values: Iterable[int]) -> ColumnElement[bool]:
    """Return `ids = ANY (values)`."""
    return ids == func.any(_array(values))


def is_not_in(ids: IdColumn, values: Iterable[int]) -> ColumnElement[bool]:
    """Return `ids <> ALL (values)`, true of every row where there are no values."""
    return ids != func.all(_array(values))


def _array(values: Iterable[int]) -> ColumnElement[Any]:
    return literal(sorted(values), ARRAY(BigInteger))


def rows(name: str, types: Mapping[str, TypeEngine[Any]], values: Sequence[tuple[object, ...]]) -> TableValuedAlias:
    """Return `unnest(...) AS name(columns)`: a table of these values, one array per column."""
    arrays = [
        cast(literal(list(values_of_column), ARRAY(type_)), ARRAY(type_))
        for type_, values_of_column in zip(types.values(), _columns(values, len(types)), strict=True)
    ]
    columns = [column(label, type_) for label, type_ in types.items()]
    return func.unnest(*arrays).table_valued(*columns, name=name).render_derived()


def _columns(values: Sequence[tuple[object, ...]], width: int) -> list[tuple[object, ...]]:
    return list(zip(*values, strict=True)) if values else [()] * width
