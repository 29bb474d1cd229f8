"""Writes the next migration from the contracts: `make migration m="why the tables change"`.

Compares the metadata of schemas/tables.py with a scratch server that all present migrations were applied to.
"""

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows.io import embedded_server, migrate
from flows.settings import load_settings
from schemas.errors import WarehouseError

if TYPE_CHECKING:
    from sqlalchemy import Connection

AS_WAS_FOLDER = migrate.SQL_ROOT / "views" / "mart"


def differences(connection: "Connection") -> list[Any]:
    """What Alembic would change in the connected database to meet the contracts, comments included."""
    from alembic.autogenerate import compare_metadata
    from alembic.runtime.migration import MigrationContext

    from schemas.tables import METADATA

    migrate.leave_unenforced()
    options = {
        "compare_type": True,
        "compare_server_default": True,
        "include_schemas": True,
        "version_table_schema": "ops",
    }
    context = MigrationContext.configure(connection, opts=options | migrate.comparison(connection))
    return [*compare_metadata(context, METADATA), *_missing_sequences(connection)]


def write_as_was_views() -> None:
    """Write the views that the history contracts ask for; they follow the contracts' columns."""
    from schemas.tables import as_was_views

    for name, select in as_was_views().items():
        (AS_WAS_FOLDER / f"{name}.sql").write_text(select)


def write_revision(message: str) -> Path | None:
    """Write the migration that is missing and the as-was views; None where the tables agree with the contracts."""
    from alembic import command

    from schemas.tables import METADATA

    with _scratch_database() as connection:
        if not differences(connection):
            write_as_was_views()
            return None
        versions = sorted((migrate.SQL_ROOT / "migrations" / "versions").glob("*.py"))
        script = command.revision(
            migrate.alembic_config(connection, METADATA),
            message=message,
            autogenerate=True,
            # the moment tells this revision from another one of the same number, on another branch say
            rev_id=f"{len(versions) + 1:04d}_{datetime.now(UTC):%Y%m%d%H%M}",
            process_revision_directives=_add_sequences,
        )
    write_as_was_views()
    return Path(script.path) if script is not None and not isinstance(script, list) else None


@contextmanager
def _scratch_database() -> "Iterator[Connection]":
    """A server in a temporary home with all present migrations, without views."""
    from alembic import command
    from sqlalchemy import create_engine
    from sqlalchemy.pool import NullPool

    with tempfile.TemporaryDirectory() as home:
        settings = load_settings(home=home)
        try:
            url = embedded_server.ensure_running(settings).url()
            engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:", 1), poolclass=NullPool)
            with engine.begin() as connection:
                for schema in migrate.SCHEMAS:
                    connection.exec_driver_sql(f"create schema {schema}")
                command.upgrade(migrate.alembic_config(connection), "head")
                yield connection
        finally:
            embedded_server.stop(settings)


def _missing_sequences(connection: "Connection") -> list[str]:
    """Sequences of the metadata that the database lacks: Alembic does not compare them."""
    from sqlalchemy import inspect

    from schemas.tables import METADATA

    there = {name: inspect(connection).get_sequence_names(schema=name) for name in migrate.SCHEMAS}
    wanted = METADATA._sequences.values()  # noqa: SLF001 - there is no public way to list them
    return [f"{s.schema}.{s.name}" for s in wanted if s.name not in there.get(str(s.schema), [])]


def _add_sequences(context: Any, _revision: object, directives: list[Any]) -> None:
    from alembic.operations.ops import ExecuteSQLOp

    missing = _missing_sequences(context.connection)
    directives[0].upgrade_ops.ops[:0] = [ExecuteSQLOp(f"create sequence {name}") for name in missing]


def main() -> int:
    """Entry of `make migration`."""
    if len(sys.argv) != 2 or not sys.argv[1].strip():
        sys.stderr.write('say why: make migration m="why the tables change"\n')
        return 2
    try:
        written = write_revision(sys.argv[1].strip())
    except WarehouseError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(f"{written}\n" if written else "the tables agree with the contracts; nothing to migrate\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
