import traceback
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr

from core.errors import InvalidSettings
from core.settings import Settings, load_settings


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    load_settings.cache_clear()
    yield
    load_settings.cache_clear()


def test_every_setting_has_a_default() -> None:
    settings = load_settings()

    assert settings.database_url is None
    assert settings.embedded_postgres_dir == Path(".data/postgres")
    assert settings.render is False
    assert settings.plan_horizon == timedelta(hours=24)
    assert settings.default_length == timedelta(hours=3)
    assert (settings.log_level, settings.log_format) == ("INFO", "logfmt")


@pytest.mark.parametrize(
    ("variable", "value", "name", "expected"),
    [
        ("DATABASE_URL", "postgres://h/d", "database_url", SecretStr("postgres://h/d")),
        ("RENDER", "true", "render", True),
        ("PLAN_HORIZON_HOURS", "1.5", "plan_horizon", timedelta(minutes=90)),
        ("DEFAULT_LENGTH_MINUTES", "150", "default_length", timedelta(minutes=150)),
        ("RESYNC_SECONDS", "45", "resync_seconds", 45),
        ("LOG_FORMAT", "json", "log_format", "json"),
        ("PLAN_HORIZON_HOURS", "", "plan_horizon", timedelta(hours=24)),
        ("DATABASE_URL", "", "database_url", None),
    ],
)
def test_setting_is_read_from_the_environment_and_empty_counts_as_missing(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, name: str, expected: object
) -> None:
    monkeypatch.setenv(variable, value)

    assert getattr(load_settings(), name) == expected


@pytest.mark.parametrize(
    ("variable", "value", "accepted"),
    [
        ("PLAN_HORIZON_HOURS", "0", "greater than or equal to 1"),
        ("PLAN_HORIZON_HOURS", "337", "less than or equal to 336"),
        ("PLAN_HORIZON_HOURS", "soon", "a valid number"),
        ("DEFAULT_LENGTH_MINUTES", "1440", "less than or equal to 1439"),
        ("RESYNC_SECONDS", "46", "less than or equal to 45"),
        ("KEEP_DAYS", "0", "greater than or equal to 1"),
        ("KEEP_DAYS", "3651", "less than or equal to 3650"),
        ("KEEP_DAYS", "999999999999", "less than or equal to 3650"),
        ("LOG_LEVEL", "LOUD", "'DEBUG', 'INFO', 'WARNING' or 'ERROR'"),
        ("LOG_FORMAT", "xml", "'logfmt' or 'json'"),
        ("RENDER", "maybe", "a valid boolean"),
    ],
)
def test_error_names_the_variable_the_value_and_what_is_accepted(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, accepted: str
) -> None:
    monkeypatch.setenv(variable, value)

    with pytest.raises(InvalidSettings, match=f"^{variable}='{value}': .*{accepted}"):
        load_settings()


@pytest.mark.parametrize(
    ("value", "accepted"),
    [
        ("hc-ping.com/hidden", "valid URL"),
        ("ftp://hc-ping.com/hidden", "'http' or 'https'"),
        ("https://u:hidden@hc-ping.com/", "without user and password"),
        ("https:///", "valid URL"),
    ],
)
@pytest.mark.parametrize("variable", ["DAEMON_PING_URL", "SWEEP_PING_URL"])
def test_an_error_in_an_address_for_pings_does_not_show_it(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, accepted: str
) -> None:
    monkeypatch.setenv(variable, value)

    with pytest.raises(InvalidSettings, match=f"^{variable}=\\.\\.\\.: .*{accepted}") as failed:
        load_settings()
    assert "hidden" not in "".join(traceback.format_exception(failed.value))


def test_all_bad_values_are_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEEP_DAYS", "none")
    monkeypatch.setenv("LOG_LEVEL", "LOUD")

    with pytest.raises(InvalidSettings, match=r"KEEP_DAYS='none': .*; LOG_LEVEL='LOUD': "):
        load_settings()


def test_settings_are_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    before = load_settings()
    monkeypatch.setenv("KEEP_DAYS", "7")

    assert load_settings() is before


def test_settings_show_no_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgres://u:secret@h/d")
    monkeypatch.setenv("DAEMON_PING_URL", "https://hc-ping.com/secret")
    settings = load_settings()

    assert "secret" not in f"{settings!r} {settings} {settings.model_dump()} {settings.model_dump_json()}"
