"""Alembic's entry: runs on the connection that flows/io/migrate.py hands over, inside its transaction."""

from alembic import context

from flows.io import migrate

migrate.configure(context)
with context.begin_transaction():
    context.run_migrations()
