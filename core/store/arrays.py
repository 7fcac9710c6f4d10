"""Many values in one statement: arrays as one parameter each, so that a statement's text does not grow with them.

And so that it can be made once: making one takes twice as long as running it.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ARRAY, BigInteger, BindParameter, ColumnElement, bindparam, cast, column, func
from sqlalchemy.orm import InstrumentedAttribute
from sqlalchemy.types import TypeEngine

IdColumn = ColumnElement[int] | InstrumentedAttribute[int] | InstrumentedAttribute[int | None]


def is_in(ids: IdColumn, name: str = "ids") -> ColumnElement[bool]:
    """Return `ids = ANY (:name)`; the parameter is a list of ids."""
    return ids == func.any(id_array(name))


def id_array(name: str) -> BindParameter[Any]:
    """Return the parameter `:name`, a list of ids."""
    return bindparam(name, type_=ARRAY(BigInteger))


class ValueTable:
    """`unnest(...) AS name(columns)`: a table of values, one array parameter per column."""

    def __init__(self, name: str, types: Mapping[str, TypeEngine[Any]]) -> None:
        self._parameters = [f"{name}_{label}" for label in types]
        arrays = [
            cast(bindparam(parameter, type_=ARRAY(type_)), ARRAY(type_))
            for parameter, type_ in zip(self._parameters, types.values(), strict=True)
        ]
        columns = [column(label, type_) for label, type_ in types.items()]
        self.table = func.unnest(*arrays).table_valued(*columns, name=name).render_derived()
        self.c = self.table.c

    def of(self, rows: Sequence[tuple[object, ...]]) -> dict[str, list[object]]:
        """Return the parameters that make these rows the table's; in each the values stand in the columns' order."""
        columns = map(list, zip(*rows, strict=True)) if rows else ([] for _ in self._parameters)
        return dict(zip(self._parameters, columns, strict=True))
