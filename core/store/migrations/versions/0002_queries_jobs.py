"""Queries that have a link, and jobs: one active job for every (kind, target)."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

ACTIVE = "state IN ('queued', 'running')"


def upgrade() -> None:
    op.create_table(
        "queries",
        sa.Column("id", sa.String(16), nullable=False),
        sa.Column("run", sa.String(128), nullable=False),
        sa.Column("user_id", sa.String(255)),
        sa.Column("parts", sa.JSON, nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_queries"),
    )
    op.create_table(
        "jobs",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("target", sa.String(128), nullable=False),
        sa.Column("arguments", sa.JSON, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("host", sa.String(255), nullable=False),
        sa.Column("pid", sa.Integer),
        sa.Column("fraction", sa.Double, nullable=False),
        sa.Column("label", sa.Text, nullable=False),
        sa.Column("remaining", sa.Double),
        sa.Column("cancel", sa.Boolean, nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("heartbeat", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished", sa.DateTime(timezone=True)),
        sa.Column("code", sa.String(32), nullable=False),
        sa.Column("message", sa.Text, nullable=False),
        sa.Column("result", sa.JSON),
        sa.PrimaryKeyConstraint("id", name="pk_jobs"),
        sa.CheckConstraint(
            "state IN ('queued', 'running', 'done', 'failed', 'cancelled', 'interrupted')", name=op.f("ck_jobs_state")
        ),
    )
    op.create_index(
        "uq_jobs_active", "jobs", ["kind", "target"], unique=True, sqlite_where=sa.text(ACTIVE),
        postgresql_where=sa.text(ACTIVE),
    )  # fmt: skip
