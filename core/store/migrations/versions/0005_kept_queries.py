"""Whether a question is kept; those of before had a link that was meant to stay."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("queries", sa.Column("kept", sa.Boolean, nullable=False, server_default=sa.true()))
