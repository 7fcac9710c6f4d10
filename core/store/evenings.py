"""What organisers write to one evening, and what they read of the evenings that were: who said yes to each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, time

from sqlalchemy import Connection, delete, func, insert, select, update

from core.models import Person, PlannedInstance, SessionInstance, SessionInstancePerson

Values = Mapping[str, date | time | str | None]


@dataclass(frozen=True, slots=True)
class YesRow:
    """A person who said yes to an instance, and their comment; no id and no address."""

    session_instance_id: int
    first_name: str | None
    last_name: str | None
    city: str | None
    comment: str | None


def insert_instance(connection: Connection, session_id: int, values: Values) -> int:
    """Insert an instance, as a person would; return its id."""
    statement = insert(SessionInstance).values(session_id=session_id, **values)
    return connection.execute(statement.returning(SessionInstance.session_instance_id)).scalar_one()


def update_instance(connection: Connection, session_instance_id: int, values: Values) -> None:
    """Write these columns of an instance."""
    connection.execute(
        update(SessionInstance).where(SessionInstance.session_instance_id == session_instance_id).values(**values)
    )


def release(connection: Connection, session_instance_id: int) -> None:
    """Delete the binding of an instance: at the next plan its own times count, or an occurrence takes it (P2)."""
    connection.execute(delete(PlannedInstance).where(PlannedInstance.session_instance_id == session_instance_id))


def who_said_yes(connection: Connection, session_instance_ids: Sequence[int]) -> list[YesRow]:
    """Return who said yes to these instances, by name within each."""
    row = SessionInstancePerson
    statement = (
        select(row.session_instance_id, Person.first_name, Person.last_name, Person.city, row.comment)
        .join(Person, Person.person_id == row.person_id)
        .where(row.session_instance_id.in_(session_instance_ids), row.attendance == "yes")
        .order_by(row.session_instance_id, func.lower(Person.first_name), func.lower(Person.last_name), row.person_id)
    )
    return [YesRow(*found) for found in connection.execute(statement)]
