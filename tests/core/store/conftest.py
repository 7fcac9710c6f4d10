"""The tests of this folder share a database, which is emptied for each."""

from tests.core.shared_database import (
    database_of_its_own,
    database_url,
    engine,
    shared_database_url,
    shared_engine,
)

__all__ = ["database_of_its_own", "database_url", "engine", "shared_database_url", "shared_engine"]
