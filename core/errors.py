"""Every error that callers may want to tell apart.

SeisiunError
├── InvalidRecurrence       a recurrence that cannot be read, or may not be saved
├── UnknownTimeZone         a zone that the zone data does not have
├── UnknownSession          no such row in `session`
├── UnknownInstance         no such row in `session_instance`
├── UnknownPerson           no such row in `person`
├── InvalidAttendance       neither yes, maybe nor no
├── SessionBusy             somebody else holds a session's rows; try again
├── NoSuchOccurrence        the recurrence does not yield that local start
├── InvalidSessionFile      a file of sessions with something wrong in it
├── InvalidSettings         an environment variable with a value that is not accepted
├── DatabaseUnavailable     no database is configured, or the one configured cannot serve
├── SchemaNotReady          the database has not been migrated, or not by this release
└── MigrationRefused        the tables that stand cannot be adopted as they are
"""


class SeisiunError(Exception):
    """Something that Seisiún was asked to do cannot be done."""

    def __str__(self) -> str:
        """Return the message, or the class's docstring where none was given."""
        return super().__str__() or (self.__doc__ or "").strip()


class InvalidRecurrence(SeisiunError):
    """The recurrence cannot be read."""


class UnknownTimeZone(SeisiunError):
    """The zone data has no such time zone."""


class UnknownSession(SeisiunError):
    """There is no such session."""


class UnknownInstance(SeisiunError):
    """There is no such session instance."""


class UnknownPerson(SeisiunError):
    """There is no such person."""


class InvalidAttendance(SeisiunError):
    """Attendance is yes, maybe or no."""


class SessionBusy(SeisiunError):
    """Somebody else holds the session's rows; try again."""


class NoSuchOccurrence(SeisiunError):
    """The session's recurrence has no occurrence at that local start."""


class InvalidSessionFile(SeisiunError):
    """The file of sessions cannot be read."""


class InvalidSettings(SeisiunError):
    """An environment variable has a value that is not accepted."""


class DatabaseUnavailable(SeisiunError):
    """No database is configured, or the one configured cannot serve."""


class SchemaNotReady(SeisiunError):
    """The database has not been migrated by this release."""


class MigrationRefused(SeisiunError):
    """The tables that stand cannot be adopted as they are."""
