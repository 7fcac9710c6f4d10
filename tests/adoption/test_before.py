"""What the app's owner can know before the first step, and keep for afterwards: the check, and the backup."""

from pathlib import Path
from typing import Any

from tests.adoption.deployed import tracker
from tests.adoption.owner import Owner
from tests.commands import sweep
from tests.core.migrations.catalogue import catalogue
from tests.data import Rows, connected, execute, value
from tests.postgres import Server


def rows_of(found: Any, kind: str) -> list[int | str]:
    """Return the ids or names that a finding of this kind is about."""
    return [row["about"] for finding in found["findings"] if finding["kind"] == kind for row in finding["rows"]]


def test_check_writes_nothing_and_finds_what_one_should_know(owner: Owner) -> None:
    with owner.app.connected() as connection:
        before = catalogue(connection)
        found = owner.check()
        assert catalogue(connection) == before

    assert (found["status"], found["ready"], found["in_the_way"]) == (0, True, [])
    assert found["server"]["role"] == "tracker"
    assert rows_of(found, "older_columns") == [
        "session_instance.is_active",
        "person.at_active_session_instance_id",
    ]
    assert rows_of(found, "unreadable") == [KITCHEN]
    assert rows_of(found, "buffers") == [LONG_ROOM]
    assert rows_of(found, "weeks") == [FINNS]
    assert rows_of(found, "pairs") == [LONG_ROOM, FESTIVAL]
    assert rows_of(found, "triggers") == ["person.last_modified", "session_instance.last_modified"]
    assert set(rows_of(found, "rows")) == {BLUE_DOOR, FINNS}, "only those that chose it"
    assert {"session", "session_instance", "person", "session_instance_person"} <= set(rows_of(found, "locks"))


BLUE_DOOR, FINNS, LONG_ROOM, KITCHEN, FESTIVAL = range(1, 6)  # the sessions of seed.sql


def test_the_apps_own_backup_restores_what_is_ours_too(owner: Owner, server: Server, tmp_path: Path) -> None:
    owner.migrate()
    assert sweep(owner.app.url).returncode == 0
    backup = owner.app.job("backup")

    with tracker(tmp_path / "restored", server) as restored:
        Owner(restored, owner.daemons).migrate()
        with connected(restored.admin_url) as admin:
            execute(admin, backup)

        assert everything(restored.url) == everything(owner.app.url)
        assert sweep(restored.url).returncode == 0
        with restored.connected() as connection:  # ids go on after those that were restored
            execute(connection, "UPDATE session SET initiation_date = '2020-01-01'")
            assert sweep(restored.url).returncode == 0
            assert value(connection, "SELECT count(*) FROM plan_request") == 0


def everything(url: str) -> dict[str, Rows]:
    """Return all rows of all tables, as text."""
    with connected(url) as connection:
        tables = execute(connection, "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")
        return {
            table: execute(connection, f"SELECT t::text FROM {table} t ORDER BY 1")
            for (table,) in tables
        }  # fmt: skip
