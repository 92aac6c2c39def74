"""Labels and notes of people on cases, named slices, and what was forgotten."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "annotations",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("catalogue", sa.String(64), nullable=False),
        sa.Column("case_key", sa.String(16), nullable=False),
        sa.Column("user_id", sa.String(255), nullable=False),
        sa.Column("item_id", sa.String(255), nullable=False),
        sa.Column("author", sa.String(80), nullable=False),
        sa.Column("note", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("updated", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_annotations"),
    )
    op.create_index("uq_annotations_case", "annotations", ["catalogue", "case_key", "author"], unique=True)
    op.create_index("ix_annotations_user_id", "annotations", ["user_id"])
    op.create_index("ix_annotations_item_id", "annotations", ["item_id"])
    op.create_table(
        "labels",
        sa.Column("annotation_id", sa.Integer, nullable=False),
        sa.Column("label", sa.String(40), nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("annotation_id", "label", name="pk_labels"),
        sa.ForeignKeyConstraint(
            ["annotation_id"], ["annotations.id"], name="fk_labels_annotation_id", ondelete="CASCADE"
        ),
    )
    op.create_table(
        "label_names",
        sa.Column("name", sa.String(40), nullable=False),
        sa.Column("meaning", sa.Text, nullable=False),
        sa.Column("position", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_label_names"),
    )
    op.create_table(
        "slices",
        sa.Column("id", sa.String(16), nullable=False),
        sa.Column("catalogue", sa.String(64), nullable=False),
        sa.Column("name", sa.String(120), nullable=False),
        sa.Column("conditions", sa.JSON, nullable=False),
        sa.Column("author", sa.String(80), nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", "catalogue", name="pk_slices"),
    )
    op.create_table(
        "forgotten",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("catalogue", sa.String(64), nullable=False),
        sa.Column("kind", sa.String(8), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("runs", sa.JSON, nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_forgotten"),
    )
    op.create_index("uq_forgotten_digest", "forgotten", ["catalogue", "digest"], unique=True)
