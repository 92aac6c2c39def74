"""Feature matrices of a catalogue, by modality."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("catalogues", sa.Column("features", sa.JSON, nullable=False, server_default="{}"))
