"""Alembic runs this file, which runs the revisions on the connection of `core.migrations.migrate`."""

from alembic import context

from core.migrations import VERSION_TABLE

context.configure(
    connection=context.config.attributes["connection"],
    version_table=VERSION_TABLE,
    transactional_ddl=False,  # the connection is in autocommit: each step is its own transaction
)
context.run_migrations()
