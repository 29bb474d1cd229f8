"""Settings: the only reader of the environment.

Everything has a default, so that opsmart runs with no setting at all. A variable that starts with `OPSMART_` and is
not a setting is an error: a typo must not quietly fall back to a default.
"""

import difflib
import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from schemas.errors import SettingsError

PREFIX = "OPSMART_"
SECRET_PREFIX = "OPSMART_SECRET_"  # noqa: S105 - the name of a variable, not a password
NOT_OURS = frozenset({"OPSMART_TEST_DATA"})
"""Variables with our prefix that something else reads: the tests' data folder."""

_PROJECT_ROOT = Path(__file__).resolve().parents[1]


class Settings(BaseSettings):
    """What may be set from outside; built by `load_settings`, never changed afterwards."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_ignore_empty=True, frozen=True, extra="forbid", validate_default=True
    )

    home: Path = Field(default=Path(".opsmart"), description="Folder of landing, lake and embedded server")
    landing: Path = Field(
        default_factory=lambda done: done["home"] / "landing", description="Bytes as delivered, one folder per source"
    )
    lake: Path = Field(default_factory=lambda done: done["home"] / "lake", description="Accepted row versions")
    warehouse_url: SecretStr | None = Field(
        default=None, description="PostgreSQL of your own as postgresql://user:password@host:port/database"
    )
    sources: Annotated[tuple[Path, ...], NoDecode] = Field(
        default=(), description=f"Further folders of sources, separated by {os.pathsep!r}"
    )
    reporting_currency: str = Field(default="USD", pattern="^[A-Z]{3}$", description="ISO 4217 code")
    project_root: Path = Field(default=_PROJECT_ROOT, description="Folder that holds sql/ and prefect.yaml")
    secrets: Mapping[str, SecretStr] = Field(
        default=MappingProxyType({}), description="OPSMART_SECRET_<NAME>: fills ${NAME} in the URLs of sources"
    )

    @property
    def sql_root(self) -> Path:
        """Folder of sources, migrations, views and roles."""
        return self.project_root / "sql"

    @property
    def warehouse_folder(self) -> Path:
        """Folder of the embedded server: data and passwords."""
        return self.home / "warehouse"

    @field_validator("sources", mode="before")
    @classmethod
    def _split_folders(cls, value: object) -> object:
        return tuple(part for part in value.split(os.pathsep) if part) if isinstance(value, str) else value

    @field_validator("home", "landing", "lake", "project_root")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        return Path(os.path.abspath(value.expanduser()))  # noqa: PTH100 - resolve() would follow a symlinked home

    @field_validator("sources")
    @classmethod
    def _absolute_folders(cls, value: tuple[Path, ...]) -> tuple[Path, ...]:
        return tuple(cls._absolute(folder) for folder in value)

    @field_validator("warehouse_url")
    @classmethod
    def _is_postgresql(cls, value: SecretStr | None) -> SecretStr | None:
        if value is None:
            return None
        scheme, _, rest = value.get_secret_value().partition("://")
        if scheme.partition("+")[0] not in {"postgresql", "postgres"} or not urlsplit(f"//{rest}").path.strip("/"):
            raise ValueError("must look like postgresql://user:password@host:5432/database")
        # libpq knows no driver names; SQLAlchemy's are taken away, so that one URL serves psql, ADBC and SQLAlchemy
        return SecretStr(f"postgresql://{rest}")


def load_settings(**overrides: Any) -> Settings:
    """The settings of this process: `overrides`, else the environment, else the defaults.

    Raises SettingsError that names the variable when one is unknown or cannot be used.
    """
    environment = {name.upper(): value for name, value in os.environ.items() if name.upper().startswith(PREFIX)}
    secrets = {
        name.removeprefix(SECRET_PREFIX): SecretStr(value)
        for name, value in environment.items()
        if name.startswith(SECRET_PREFIX)
    }
    _refuse_unknown(environment)
    try:
        return Settings(**{"secrets": MappingProxyType(secrets)} | overrides)
    except ValidationError as error:
        raise _as_settings_error(error) from None


def settings_of_home() -> Settings:
    """The settings of a home that is there: what looks or mends must not begin an installation in a wrong folder.

    Raises SettingsError where the home does not exist.
    """
    settings = load_settings()
    if not settings.home.is_dir():
        raise SettingsError(
            "There is no home of opsmart here.",
            where=str(settings.home),
            remedy=f"run the command in the folder of the project, or set {PREFIX}HOME to the home;"
            " opsmart nightly would begin a new one",
        )
    return settings


def child_environment(values: Mapping[str, str]) -> dict[str, str]:
    """The environment of a process that we start: this one's without foreign Prefect settings, and `values`."""
    kept = {name: value for name, value in os.environ.items() if not name.upper().startswith("PREFECT_")}
    return kept | dict(values)


def put_into_environment(values: Mapping[str, str]) -> None:
    """Gives this process `values` and takes away Prefect settings meant for others; before Prefect is imported."""
    for name in [name for name in os.environ if name.upper().startswith("PREFECT_")]:
        del os.environ[name]
    os.environ.update(values)


def _refuse_unknown(environment: Mapping[str, str]) -> None:
    known = sorted(PREFIX + name.upper() for name in Settings.model_fields if name != "secrets")
    for name in environment:
        if name in known or name in NOT_OURS or name.startswith(SECRET_PREFIX):
            continue
        nearest = difflib.get_close_matches(name, known, n=1, cutoff=0.0)[0]
        raise SettingsError(
            f"{name} is not a setting of opsmart.",
            where="environment",
            remedy=f"did you mean {nearest}? Otherwise unset {name}. Known: {', '.join(known)}, {SECRET_PREFIX}<NAME>.",
        )


def _as_settings_error(error: ValidationError) -> SettingsError:
    first = error.errors(include_url=False, include_input=False)[0]
    name = PREFIX + str(first["loc"][0]).upper()
    reason = str(first["msg"]).removeprefix("Value error, ")
    description = (
        Settings.model_fields[str(first["loc"][0])].description if first["loc"][0] in Settings.model_fields else ""
    )
    return SettingsError(f"{name} cannot be used: {reason}.", where=f"environment, {name}", remedy=f"{description}.")
