"""Scratch databases: for what is computed beside the mart and thrown away."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

import psycopg
from psycopg import sql

from flows.io import embedded_server
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
