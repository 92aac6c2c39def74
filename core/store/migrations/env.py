"""Runs the migrations on the connection that `Store` hands over; batch mode, because SQLite can alter little."""

from alembic import context

from core.store.tables import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_as_batch=True,
    transactional_ddl=False,  # the transaction is the caller's: it began with BEGIN IMMEDIATE
)
context.run_migrations()
