"""The settings, read from the environment; each has a default, a unit in its name and a row in the README's table."""

from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, HttpUrl, Secret, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from core.errors import InvalidSettings


def _without_credentials(url: HttpUrl) -> HttpUrl:
    if url.username or url.password:
        raise ValueError("expected an address without user and password")
    return url


SECRET = {"DATABASE_URL", "DAEMON_PING_URL", "SWEEP_PING_URL"}  # an error does not show their values
PingUrl = Secret[Annotated[HttpUrl, AfterValidator(_without_credentials)]]


class Settings(BaseSettings):
    """What an operator may change: each field is an environment variable with the same name in capitals."""

    model_config = SettingsConfigDict(env_ignore_empty=True, frozen=True, extra="ignore")

    database_url: SecretStr | None = None
    # Where the database is, in libpq's own words, if database_url is missing. libpq itself reads these variables, and
    # its others (PGPASSWORD, PGPASSFILE, PGSSLMODE, ...), so here it matters only whether they are set.
    pghost: str | None = None
    pghostaddr: str | None = None
    pgport: str | None = None
    pgdatabase: str | None = None
    pguser: str | None = None
    pgservice: str | None = None
    embedded_postgres_dir: Path = Path(".data/postgres")
    render: bool = False
    plan_horizon_hours: float = Field(default=24, ge=1, le=24 * 14)
    default_length_minutes: int = Field(default=180, ge=1, le=24 * 60 - 1)
    resync_seconds: float = Field(default=30, ge=1, le=45)
    keep_days: int = Field(default=30, ge=1, le=3650)
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_format: Literal["logfmt", "json"] = "logfmt"
    daemon_ping_url: PingUrl | None = None
    sweep_ping_url: PingUrl | None = None

    @property
    def plan_horizon(self) -> timedelta:
        """How long before its window opens an instance is made (P1)."""
        return timedelta(hours=self.plan_horizon_hours)

    @property
    def default_length(self) -> timedelta:
        """How long an instance lasts if it states no end (T3)."""
        return timedelta(minutes=self.default_length_minutes)


@lru_cache(maxsize=1)
def load_settings() -> Settings:
    """Read the settings once per process; raise `InvalidSettings` with each bad value and what is accepted."""
    try:
        return Settings()
    except ValidationError as error:
        problems = (
            f"{name}={'...' if name in SECRET else repr(problem['input'])}: {problem['msg']}"
            for problem in error.errors()
            for name in [str(problem["loc"][0]).upper()]
        )
        raise InvalidSettings("; ".join(problems)) from None  # the error's own text shows the values
