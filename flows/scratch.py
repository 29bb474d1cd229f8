"""Scratch databases and homes: for what is computed beside the mart and thrown away."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import psycopg
from psycopg import sql
from pydantic import SecretStr

from flows.io import embedded_server
from flows.io.staging.pseudonym import KEY_FILE
from flows.settings import Settings


@contextmanager
def scratch_database(settings: Settings) -> Iterator[str]:
    """URL of an empty database in the embedded server, also where the warehouse is somebody else's; gone afterwards."""
    server = embedded_server.ensure_running(settings)
    name = sql.Identifier(f"scratch_{datetime.now().astimezone():%Y%m%d%H%M%S%f}")
    owner = sql.Identifier(embedded_server.ROLES["loader"])
    with psycopg.connect(server.url("admin", "postgres"), autocommit=True) as connection:
        connection.execute(sql.SQL("create database {} template template0 owner {}").format(name, owner))
        try:
            yield server.url("loader", name.as_string().strip('"'))
        finally:
            connection.execute(sql.SQL("drop database {} with (force)").format(name))


def settings_in(settings: Settings, folder: Path, warehouse_url: str) -> Settings:
    """The same sources, rules and pseudonyms; a home, a lake and a warehouse of its own."""
    home = folder / "home"
    home.mkdir()
    if (settings.home / KEY_FILE).exists():
        shutil.copyfile(settings.home / KEY_FILE, home / KEY_FILE)
    return settings.model_copy(update={"home": home, "lake": home / "lake", "warehouse_url": SecretStr(warehouse_url)})
