import os
import re
import socket
import traceback
from contextlib import closing, suppress
from pathlib import Path
from threading import Thread

import psycopg2
import pytest
import sqlalchemy
from pydantic import SecretStr
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError

from core.db import (
    configured_url,
    connect,
    connection_parameters,
    create_engine,
    database,
    is_embedded,
    normalise_url,
)
from core.db.transactions import wrap_psycopg2
from core.errors import DatabaseUnavailable
from core.settings import Settings
from tests.commands import libpq_variables
from tests.data import execute, value

URL = "postgresql+psycopg2://user:p%40ss@host:5433/name?sslmode=require"


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg2"])
def test_every_form_that_platforms_hand_out_becomes_one(scheme: str) -> None:
    url = URL.replace("postgresql+psycopg2", scheme)

    assert normalise_url(url) == URL
    assert create_engine(url).dialect.driver == "psycopg2"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgresql://u:p%40@h1:1,h2:2/db", {"host": "h1,h2", "port": "1,2", "password": "p@"}),
        ("postgres://u:p,q@h1:1,h2:2/db?sslmode=require", {"host": "h1,h2", "port": "1,2", "sslmode": "require"}),
        ("postgresql://h1,h2/db", {"host": "h1,h2", "port": ","}),
        ("postgresql://h1:1,h2:2", {"host": "h1,h2", "port": "1,2"}),
        ("postgresql+psycopg2://u:p@/db?host=h1:1&host=h2:2", {"host": "h1,h2", "port": "1,2", "user": "u"}),
        ("postgresql://u:p@/db?host=h1,h2&port=1,2", {"host": "h1,h2", "port": "1,2"}),
    ],
)
def test_of_several_hosts_the_one_is_meant_that_can_be_written_to(url: str, expected: dict[str, str]) -> None:
    taken = connection_parameters(url)

    assert (expected | {"target_session_attrs": "read-write"}).items() <= taken.items()
    assert normalise_url(normalise_url(url)) == normalise_url(url)
    told = connection_parameters(f"{url}{'&' if '?' in url else '?'}target_session_attrs=any")
    assert told["target_session_attrs"] == "any"


def test_one_host_is_taken_as_it_is() -> None:
    taken = connection_parameters("postgresql://u:p,q@h/db?options=endpoint%3Dx")

    assert (taken["host"], taken["password"]) == ("h", "p,q")
    assert "target_session_attrs" not in taken
    assert taken["options"].startswith("endpoint=x -c ")


@pytest.mark.parametrize("scheme", ["postgresql+psycopg", "postgresql+asyncpg", "mysql", "sqlite", "POSTGRES"])
def test_other_database_is_refused(scheme: str) -> None:
    with pytest.raises(DatabaseUnavailable) as refused:
        normalise_url(f"{scheme}://user:secret@host/name")

    assert str(refused.value) == (
        f"DATABASE_URL begins with {scheme!r}; accepted: "
        "postgresql://user:password@host:port/name (also postgres:// and postgresql+psycopg2://)"
    )


@pytest.mark.parametrize("text", ["", "localhost", "//host/name", "postgres//user:secret@host"])
def test_what_is_no_url_is_refused_without_telling_a_secret(text: str) -> None:
    with pytest.raises(DatabaseUnavailable, match=r"^DATABASE_URL is not a URL; accepted: ") as refused:
        normalise_url(text)

    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("url", ["postgresql://host:port/name", "postgresql://h1:1,h2:port/name"])
def test_port_that_is_no_number_is_refused(url: str) -> None:
    with pytest.raises(DatabaseUnavailable, match=r"^DATABASE_URL is not a URL; accepted: "):
        normalise_url(url)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:x@SECRET@h/d",
        "postgresql://u:SECRET@SECRET@h1,h2/d",
        "postgresql://u:x@y/SECRET@h/d",
        "postgresql://u:x@y:SECRET@h/d",
        "postgresql://u:SECRET",
        "postgresql://u:x@h:SECRET/d",
        "u:SECRET@h/d",
        "mysql://u:SECRET@h/d",
    ],
)
def test_traceback_of_a_malformed_url_shows_no_part_of_a_password(url: str) -> None:
    with pytest.raises(DatabaseUnavailable) as refused:
        normalise_url(url)

    assert "SECRET" not in "".join(traceback.format_exception(refused.value))


def test_password_among_the_parameters_is_hidden_as_any_other() -> None:
    engine = create_engine("postgresql://u@h/d?password=SECRET&sslmode=require")

    assert connection_parameters("postgresql://u@h/d?password=SECRET")["password"] == "SECRET"
    assert "SECRET" not in repr(engine)


def test_at_sign_that_is_written_as_such_is_taken() -> None:
    taken = connection_parameters("postgresql://a%40b:p%40q@h/d%40e?user=a@c")

    assert taken["password"] == "p@q"
    assert taken["dbname"] == make_url("postgresql://h/d%40e").database  # SQLAlchemy 2.0 leaves %40 in it, 2.1 does not


# libpq's own variables


@pytest.fixture(autouse=True)
def without_libpqs_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("PG")]:
        monkeypatch.delenv(name)


@pytest.mark.parametrize("name", ["PGDATABASE", "PGUSER", "PGSERVICE"])
def test_what_says_which_database_it_is_keeps_the_embedded_server_away(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "tracker")
    settings = Settings(database_url=None)

    assert configured_url(settings) == "postgresql+psycopg2://"
    assert not is_embedded(settings)
    assert configured_url(Settings(database_url=SecretStr("postgres://h/n"))) == "postgresql+psycopg2://h/n"


@pytest.mark.parametrize("name", ["PGHOST", "PGHOSTADDR", "PGPORT"])
def test_a_server_without_a_database_is_an_error_that_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "5432")
    monkeypatch.setenv("PGPASSWORD", "SECRET")
    told = (
        f"^{name} is set, but nothing says which database: set PGDATABASE too, or PGSERVICE, or DATABASE_URL instead$"
    )
    for use in (is_embedded, configured_url):
        with pytest.raises(DatabaseUnavailable, match=told):
            use(Settings(database_url=None))


@pytest.mark.parametrize("name", ["PGPASSWORD", "PGPASSFILE", "PGSSLMODE", "PGOPTIONS", "PGAPPNAME"])
def test_what_does_not_say_where_a_database_is_changes_nothing(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "x")

    assert is_embedded(Settings(database_url=None))


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"PGHOST": "one,two"}, "read-write"),
        ({"PGHOSTADDR": "127.0.0.1,127.0.0.2"}, "read-write"),
        ({"PGHOST": "one"}, None),
        ({"PGHOST": "one,two", "PGTARGETSESSIONATTRS": "any"}, None),
    ],
)
def test_of_several_hosts_in_pghost_too_the_one_is_meant_that_can_be_written_to(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], expected: str | None
) -> None:
    for name, given in (variables | {"PGDATABASE": "tracker"}).items():
        monkeypatch.setenv(name, given)
    url = configured_url(Settings(database_url=None))

    assert url is not None
    assert connection_parameters(url).get("target_session_attrs") == expected


@pytest.mark.parametrize("form", ["variables", "a service", "a file of passwords"])
def test_libpqs_variables_lead_to_the_database_and_their_options_count(
    monkeypatch: pytest.MonkeyPatch, empty_database_url: str, tmp_path: Path, form: str
) -> None:
    variables = libpq_variables(empty_database_url)
    if form == "a service":
        names = {"PGHOST": "host", "PGPORT": "port", "PGDATABASE": "dbname", "PGUSER": "user", "PGPASSWORD": "password"}
        file = tmp_path / "services"
        file.write_text("\n".join(["[tracker]", *(f"{names[name]}={given}" for name, given in variables.items())]))
        variables = {"PGSERVICE": "tracker", "PGSERVICEFILE": str(file)}
    elif form == "a file of passwords":
        file = tmp_path / "passwords"
        file.write_text(f"*:*:*:*:{variables.pop('PGPASSWORD')}\n")
        file.chmod(0o600)
        variables["PGPASSFILE"] = str(file)
    for name, given in (variables | {"PGOPTIONS": "-c search_path=tracker"}).items():
        monkeypatch.setenv(name, given)
    with database(Settings(database_url=None)) as url:
        engine = create_engine(url)
        with engine.connect() as connection:
            asked = "SELECT current_database(), current_setting('search_path'), current_setting('timezone')"
            found = connection.execute(sqlalchemy.text(asked)).one()
        assert str(make_url(empty_database_url).password) not in f"{engine!r} {url}"
        engine.dispose()

    assert tuple(found) == (make_url(empty_database_url).database, "tracker", "UTC")


def test_configured_database_is_used() -> None:
    settings = Settings(database_url=SecretStr("postgres://host/name"))

    with database(settings) as url:
        assert url == "postgresql+psycopg2://host/name"
    assert not is_embedded(settings)


def test_on_the_platform_a_missing_database_url_is_an_error_that_says_what_to_do() -> None:
    settings = Settings(database_url=None, render=True)

    with pytest.raises(DatabaseUnavailable, match=r"^DATABASE_URL is not set.*connectionString"), database(settings):
        pass
    assert not is_embedded(settings)


def test_without_either_the_embedded_database_is_used() -> None:
    assert is_embedded(Settings(database_url=None, render=False))


def test_engine_reads_what_is_committed_in_utc_whatever_the_database_says(empty_database_url: str) -> None:
    engine = create_engine(empty_database_url, application_name="seisiun test")
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        name = connection.scalar(sqlalchemy.text("SELECT current_database()"))
        for setting in ("timezone = 'Asia/Tokyo'", "default_transaction_isolation = 'serializable'"):
            connection.execute(sqlalchemy.text(f"ALTER DATABASE {name} SET {setting}"))
    engine.dispose()
    with engine.connect() as connection:
        shown = [
            connection.scalar(sqlalchemy.text(f"SHOW {setting}"))
            for setting in ("timezone", "transaction_isolation", "application_name", "tcp_keepalives_idle")
        ]
    engine.dispose()

    assert shown == ["UTC", "read committed", "seisiun test", "5"]


@pytest.mark.parametrize(
    ("refusal", "options"),
    [
        ("unsupported startup parameter in options: tcp_user_timeout", ["endpoint=x -c tcp", "endpoint=x"]),
        ("the database system is starting up", ["endpoint=x -c tcp"]),
    ],
)
def test_who_refuses_our_options_is_asked_without_them_and_who_refuses_us_is_not_asked_again(
    refusal: str, options: list[str]
) -> None:
    asked: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(5)
        Thread(target=refuse_all, args=[server, refusal, asked], daemon=True).start()
        port = server.getsockname()[1]
        url = f"postgresql://u@127.0.0.1:{port}/d?sslmode=disable&gssencmode=disable&options=endpoint%3Dx"
        with pytest.raises(psycopg2.OperationalError, match=refusal):
            connect(connection_parameters(url))

    assert [re.findall(rb"options\0(endpoint=x(?: -c tcp)?)", each)[0].decode() for each in asked] == options


def refuse_all(server: socket.socket, refusal: str, asked: list[bytes]) -> None:
    """Refuse each connection, as a pooler does, in PostgreSQL's protocol."""
    with suppress(OSError):  # closed by the test
        while True:
            refuse(server, refusal, asked)


def refuse(server: socket.socket, refusal: str, asked: list[bytes]) -> None:
    error = f"SFATAL\0C08P01\0M{refusal}\0\0".encode()
    connection, _ = server.accept()
    with connection:
        asked.append(connection.recv(10_000))
        connection.sendall(b"E" + (len(error) + 4).to_bytes(4, "big") + error)


def test_a_connection_without_our_options_reads_what_is_committed(empty_database_url: str) -> None:
    direct = make_url(empty_database_url)
    with closing(connect(connection_parameters(empty_database_url))) as app:
        execute(app, f"ALTER DATABASE {direct.database} SET default_transaction_isolation = 'serializable'")
        app.commit()
    with socket.create_server(("127.0.0.1", 0)) as pooler:
        pooler.settimeout(5)

        def pool() -> None:
            refuse(pooler, "unsupported startup parameter in options: tcp_user_timeout", [])
            client, _ = pooler.accept()
            server = socket.create_connection((str(direct.host), int(direct.port or 0)))
            for one, other in ((client, server), (server, client)):
                Thread(target=forward, args=[one, other], daemon=True).start()

        Thread(target=pool, daemon=True).start()
        pooled = direct.set(host="127.0.0.1", port=pooler.getsockname()[1]).update_query_dict({"sslmode": "disable"})
        with closing(connect(connection_parameters(pooled.render_as_string(hide_password=False)))) as connection:
            assert value(connection, "SHOW transaction_isolation") == "read committed"


def forward(one: socket.socket, other: socket.socket) -> None:
    with one, suppress(OSError):
        while data := one.recv(10_000):
            other.sendall(data)
        other.shutdown(socket.SHUT_WR)


def test_errors_of_our_engines_show_no_parameters(empty_database_url: str) -> None:
    engine = create_engine(empty_database_url)
    statement = sqlalchemy.text("SELECT 1 / length(left(:name, 0))")
    with engine.connect() as ours, pytest.raises(DBAPIError, match="division by zero") as error:
        ours.execute(statement, {"name": "Nóirín"})
    engine.dispose()
    parameters = connection_parameters(empty_database_url)
    with (
        closing(connect(parameters)) as raw,  # an app's connection, on which a hook works
        pytest.raises(psycopg2.Error) as raised,
        wrap_psycopg2(raw) as wrapped,
    ):
        wrapped.execute(statement, {"name": "Nóirín"})

    assert "Nóirín" not in str(error.value)
    assert "division by zero" in str(raised.value.__cause__)
    assert "Nóirín" not in str(raised.value.__cause__)
