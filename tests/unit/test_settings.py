"""Settings: defaults that work, and errors that name the variable."""

import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from flows.settings import load_settings
from schemas.errors import SettingsError


def test_nothing_set_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    settings = load_settings()
    assert settings.home == tmp_path / ".opsmart"
    assert settings.landing == tmp_path / ".opsmart" / "landing"
    assert settings.lake == tmp_path / ".opsmart" / "lake"
    assert settings.warehouse_url is None
    assert settings.reporting_currency == "USD"
    assert (settings.sql_root / "migrations").is_dir()


def test_landing_and_lake_follow_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPSMART_HOME", str(tmp_path / "a"))
    monkeypatch.setenv("OPSMART_LAKE", str(tmp_path / "elsewhere"))
    settings = load_settings()
    assert settings.landing == tmp_path / "a" / "landing"
    assert settings.lake == tmp_path / "elsewhere"


def test_unknown_variable_names_the_nearest_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPSMART_WAREHOUS_URL", "postgresql://localhost/mart")
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert "OPSMART_WAREHOUS_URL" in caught.value.what
    assert "did you mean OPSMART_WAREHOUSE_URL?" in caught.value.remedy


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OPSMART_REPORTING_CURRENCY", "euro"),
        ("OPSMART_WAREHOUSE_URL", "mysql://user@host/mart"),
        ("OPSMART_WAREHOUSE_URL", "postgresql://host-without-database"),
    ],
)
def test_unusable_value_names_its_variable(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert name in caught.value.what


def test_password_is_neither_shown_nor_named_in_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPSMART_WAREHOUSE_URL", "postgresql://me:hunter2@host/mart")
    assert "hunter2" not in repr(load_settings())
    monkeypatch.setenv("OPSMART_WAREHOUSE_URL", "mysql://me:hunter2@host/mart")
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert "hunter2" not in str(caught.value)


def test_driver_name_of_sqlalchemy_is_taken_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPSMART_WAREHOUSE_URL", "postgresql+psycopg://me@host/mart?sslmode=require")
    url = load_settings().warehouse_url
    assert url is not None
    assert url.get_secret_value() == "postgresql://me@host/mart?sslmode=require"


def test_sources_are_a_list_of_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPSMART_SOURCES", os.pathsep.join([str(tmp_path / "a"), str(tmp_path / "b")]))
    assert load_settings().sources == (tmp_path / "a", tmp_path / "b")


def test_empty_variable_is_an_unset_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPSMART_WAREHOUSE_URL", "")
    assert load_settings().warehouse_url is None


def test_secrets_are_known_by_name_and_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPSMART_SECRET_ERP", "hunter2")
    settings = load_settings()
    assert settings.secrets["ERP"].get_secret_value() == "hunter2"
    assert "hunter2" not in repr(settings)


def test_settings_do_not_change() -> None:
    settings = load_settings()
    with pytest.raises(ValidationError):
        settings.reporting_currency = "EUR"  # type: ignore[misc]
