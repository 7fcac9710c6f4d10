"""How long transactions that flip are open: the server itself records it, so that the measurement holds up nobody."""

from types import TracebackType
from typing import Self

from benchmarks.server import connect, run, value

# A row for each transaction that logs flips; at its end `xmin` tells when that transaction was committed.
_INSTALL = """
    CREATE TABLE flipping (begun_at timestamptz NOT NULL DEFAULT now());
    CREATE FUNCTION note_flipping() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN INSERT INTO flipping DEFAULT VALUES; RETURN NULL; END
    $$;
    CREATE TRIGGER note_flipping AFTER INSERT ON activation_log FOR EACH STATEMENT EXECUTE FUNCTION note_flipping()
"""
_LONGEST = "SELECT extract(epoch FROM max(pg_xact_commit_timestamp(xmin) - begun_at))::float8 FROM flipping"


class LockWatch:
    """Watches a database from the block's begin on; no lock is held for longer than its transaction is open.

    The server's `track_commit_timestamp` must be on.
    """

    def __init__(self, url: str) -> None:
        self._connection = connect(url)
        self.longest_ms = 0.0  # once the block has ended

    def __enter__(self) -> Self:
        run(self._connection, _INSTALL)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.longest_ms = (value(self._connection, _LONGEST) or 0.0) * 1000
        self._connection.close()
