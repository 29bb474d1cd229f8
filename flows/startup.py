"""Bringing up what a run needs: PostgreSQL, the warehouse's tables, the Prefect server; only what is missing."""

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from flows.console import Access
from flows.io import embedded_server
from flows.io.prefect_server import PrefectServer
from flows.settings import Settings


@dataclass(frozen=True, slots=True)
class Installation:
    """One home with what runs in it."""

    settings: Settings
    prefect: PrefectServer

    def access(self) -> Access:
        """How to reach the mart and Prefect's UI."""
        return Access(_warehouse_access(self.settings), prefect_access(self.prefect))


def begin(settings: Settings) -> Installation:
    """Starts PostgreSQL and has the Prefect server start beside what follows; `PrefectServer.wait` waits for it.

    Prefect's data is in the embedded server, also where the warehouse is a server of your own.
    """
    installation = Installation(settings, prefect_server(settings))
    if not installation.prefect.is_running():
        installation.prefect.start()
    return installation


def prefect_server(settings: Settings) -> PrefectServer:
    """The Prefect server of this home, its database up; the server itself is not started here."""
    url = embedded_server.ensure_running(settings).url("prefect")
    return PrefectServer(settings.home, url.replace("postgresql://", "postgresql+asyncpg://", 1))


def warehouse_url(settings: Settings, role: embedded_server.Role = "loader") -> str:
    """URL for libpq of the warehouse with the role's password; the embedded server is started if need be."""
    return embedded_server.warehouse_url(settings, role)


def migrate(settings: Settings) -> tuple[str, ...]:
    """Brings the warehouse's tables up to date, quick where they are; returns what its administrator should know."""
    from flows.io import migrate

    return migrate.migrate(warehouse_url(settings)).warnings


def stop(settings: Settings) -> bool:
    """Stops the Prefect server, then PostgreSQL, which it needs; returns whether anything was running."""
    stopped = PrefectServer(settings.home).stop()
    return embedded_server.stop(settings) or stopped


def prefect_access(server: PrefectServer) -> dict[str, str]:
    """Address and login of Prefect's UI."""
    return {"address": server.ui_url, "login": f"in {_shown(server.login_file)}"}


def _warehouse_access(settings: Settings) -> dict[str, str]:
    reader = embedded_server.ROLES["reader"]
    if settings.warehouse_url is not None:
        parts = urlsplit(settings.warehouse_url.get_secret_value())
        return {
            "host": parts.hostname or "localhost",
            "port": str(parts.port or 5432),
            "database": parts.path.strip("/"),
            "user": reader,
            "password": f"the one you gave {reader} on that server",
        }
    server = embedded_server.ensure_running(settings)
    return {
        "host": server.host,
        "port": str(server.port),
        "database": embedded_server.DATABASE,
        "user": reader,
        "password": f"in {_shown(server.password_file('reader'))}",
        "as a URL": "opsmart warehouse url",
    }


def _shown(path: Path) -> str:
    """Relative to the working folder where it lies below it."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
