"""Every error that callers may want to tell apart.

SeisiunError
├── InvalidRecurrence       the recurrence cannot be read, or must not be saved
├── UnknownTimeZone         the zone data has no such time zone
├── UnknownSession          no such row in `session`
├── UnknownInstance         no such row in `session_instance`
├── UnknownPerson           no such row in `person`
├── InvalidAttendance       neither yes, maybe nor no
├── InvalidComment          a comment that is too long
├── UnsupportedDriver       the app's connection speaks another driver than psycopg2
├── InvalidPage             a cursor or a limit of `transitions` that is not accepted
├── AmbiguousSession        several sessions are named so
├── OutOfReach              an instant, or a number of days, for which there is no answer
├── SessionBusy             another transaction holds a row of the session; try again
├── NoSuchOccurrence        the recurrence has no occurrence at that local start
├── InvalidSessionFile      the file of sessions contains an error
├── InvalidSettings         an environment variable has a value that is not accepted
├── DatabaseUnavailable     no database is configured, or the configured one cannot be used
├── UnknownRole             no such role on the database's server
├── SchemaNotReady          the database has not been migrated to this release's schema
├── MigrationRefused        the existing tables cannot be adopted as they are
├── MirrorRefused           the app's older columns cannot be kept equal to ours now
└── RemovalRefused          what is ours cannot be taken away now
"""


class SeisiunError(Exception):
    """Seisiún cannot do what it was asked to do."""

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
    """Attendance must be yes, maybe or no."""


class InvalidComment(SeisiunError):
    """The comment is too long, or cannot be stored."""


class UnsupportedDriver(SeisiunError):
    """The app's connection speaks another driver than psycopg2."""


class InvalidPage(SeisiunError):
    """The cursor or the limit is not accepted."""


class AmbiguousSession(SeisiunError):
    """Several sessions are named so."""


class OutOfReach(SeisiunError):
    """There is no answer for that instant, or for so many days."""


class SessionBusy(SeisiunError):
    """Another transaction holds a row of the session; try again."""


class NoSuchOccurrence(SeisiunError):
    """The session's recurrence has no occurrence at that local start."""


class InvalidSessionFile(SeisiunError):
    """The file of sessions cannot be read."""


class InvalidSettings(SeisiunError):
    """An environment variable has a value that is not accepted."""


class DatabaseUnavailable(SeisiunError):
    """No database is configured, or the configured one cannot be used."""


class UnknownRole(SeisiunError):
    """There is no such role."""


class SchemaNotReady(SeisiunError):
    """The database does not have the schema that this release needs."""


class MigrationRefused(SeisiunError):
    """The existing tables cannot be adopted as they are."""


class MirrorRefused(SeisiunError):
    """The app's older columns cannot be kept equal to ours now."""


class RemovalRefused(SeisiunError):
    """What is ours cannot be taken away now."""
