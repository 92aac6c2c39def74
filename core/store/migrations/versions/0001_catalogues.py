"""Catalogues, items, interactions, media and runs."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "catalogues",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("version", sa.String(64), nullable=False),
        sa.Column("items", sa.Integer, nullable=False),
        sa.Column("users", sa.Integer, nullable=False),
        sa.Column("interactions", sa.Integer, nullable=False),
        sa.Column("media", sa.JSON, nullable=False),
        sa.Column("report", sa.JSON, nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_catalogues"),
        sa.UniqueConstraint("name", name="uq_catalogues_name"),
    )
    op.create_table(
        "items",
        sa.Column("catalogue_id", sa.Integer, nullable=False),
        sa.Column("row", sa.Integer, nullable=False),
        sa.Column("item_id", sa.String(255), nullable=False),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("description", sa.Text, nullable=False),
        sa.Column("category", sa.Text, nullable=False),
        sa.Column("price", sa.Double),
        sa.Column("attributes", sa.JSON, nullable=False),
        sa.PrimaryKeyConstraint("catalogue_id", "row", name="pk_items"),
        sa.ForeignKeyConstraint(
            ["catalogue_id"], ["catalogues.id"], name="fk_items_catalogue_id", ondelete="CASCADE"
        ),
    )  # fmt: skip
    op.create_index("uq_items_item_id", "items", ["catalogue_id", "item_id"], unique=True)
    op.create_table(
        "interactions",
        sa.Column("catalogue_id", sa.Integer, nullable=False),
        sa.Column("row", sa.Integer, nullable=False),
        sa.Column("user_id", sa.String(255), nullable=False),
        sa.Column("item_row", sa.Integer, nullable=False),
        sa.Column("rating", sa.Double),
        sa.Column("timestamp", sa.BigInteger),
        sa.Column("review_title", sa.Text, nullable=False),
        sa.Column("review_text", sa.Text, nullable=False),
        sa.Column("split", sa.String(32), nullable=False),
        sa.PrimaryKeyConstraint("catalogue_id", "row", name="pk_interactions"),
        sa.ForeignKeyConstraint(
            ["catalogue_id", "item_row"], ["items.catalogue_id", "items.row"], name="fk_interactions_item",
            ondelete="CASCADE",
        ),
    )  # fmt: skip
    op.create_index("ix_interactions_user", "interactions", ["catalogue_id", "user_id"])
    op.create_index("ix_interactions_item", "interactions", ["catalogue_id", "item_row"])
    op.create_table(
        "media",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("catalogue_id", sa.Integer, nullable=False),
        sa.Column("item_row", sa.Integer),
        sa.Column("interaction_row", sa.Integer),
        sa.Column("modality", sa.String(16), nullable=False),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("path", sa.String(1024), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_media"),
        sa.ForeignKeyConstraint(
            ["catalogue_id", "item_row"], ["items.catalogue_id", "items.row"], name="fk_media_item", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["catalogue_id", "interaction_row"], ["interactions.catalogue_id", "interactions.row"],
            name="fk_media_interaction", ondelete="CASCADE",
        ),
        sa.CheckConstraint("(item_row IS NULL) <> (interaction_row IS NULL)", name=op.f("ck_media_one_owner")),
    )  # fmt: skip
    op.create_index("ix_media_item", "media", ["catalogue_id", "item_row"])
    op.create_index("ix_media_interaction", "media", ["catalogue_id", "interaction_row"])
    op.create_table(
        "runs",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("run", sa.String(128), nullable=False),
        sa.Column("catalogue", sa.String(64), nullable=False),
        sa.Column("align", sa.String(32), nullable=False),
        sa.Column("fuse", sa.String(32), nullable=False),
        sa.Column("rank", sa.String(32), nullable=False),
        sa.Column("metrics", sa.JSON, nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_runs"),
        sa.UniqueConstraint("run", name="uq_runs_run"),
    )
    op.create_index("ix_runs_catalogue", "runs", ["catalogue"])
