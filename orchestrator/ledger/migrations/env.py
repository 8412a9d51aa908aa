"""Alembic's environment: the connection is handed in by `orchestrator.ledger.migrate`."""

from alembic import context

from orchestrator.ledger.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
    transactional_ddl=False,
)
context.run_migrations()
