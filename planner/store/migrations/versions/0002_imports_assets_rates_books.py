"""How an offer can be had; price imports, aliases and sources; owned assets; exchange rates; negotiated books.

Revision 0002, after 0001.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0002"
down_revision = "0001"

BigId = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
Json = sa.JSON().with_variant(JSONB(), "postgresql")
Moment = sa.DateTime(timezone=True)
OLD_IDENTITY = ["provider", "region", "zone", "instance_type", "kind", "currency"]
OLD_IDENTITY_NAME = "uq_offers_provider_region_zone_instance_type_kind_currency"
PRICE_COLUMNS = "id, offer_id, amount, reason, valid_from, recorded_at, source, source_date"


def upgrade() -> None:
    is_sqlite = op.get_bind().dialect.name == "sqlite"
    if is_sqlite:
        _set_prices_aside()
    with op.batch_alter_table("offers") as offers:
        offers.add_column(sa.Column("upfront", sa.String(length=10), nullable=False, server_default=""))
        offers.add_column(sa.Column("interconnect", sa.String(length=200), nullable=False, server_default=""))
        offers.add_column(sa.Column("is_available", sa.Boolean(), nullable=True))
        offers.add_column(sa.Column("quota_gpus", sa.BigInteger(), nullable=True))
        offers.add_column(sa.Column("minimum_term_seconds", sa.BigInteger(), nullable=True))
        offers.add_column(sa.Column("lead_time_seconds", sa.BigInteger(), nullable=True))
        offers.add_column(sa.Column("interruptions_per_hour", sa.BigInteger(), nullable=True))
        offers.drop_constraint(OLD_IDENTITY_NAME, type_="unique")
        offers.create_unique_constraint("uq_offers_identity", [*OLD_IDENTITY, "upfront"])
    op.create_table(
        "price_imports",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("action", sa.String(length=20), nullable=False),
        sa.Column("of_import_id", sa.String(length=26), nullable=True),
        sa.Column("source", sa.String(length=100), nullable=False),
        sa.Column("origin", sa.String(length=500), nullable=False),
        sa.Column("content_hash", sa.String(length=64), nullable=True),
        sa.Column("actor", sa.String(length=200), nullable=False),
        sa.Column("allowed_changes", sa.String(length=20), nullable=False),
        sa.Column("recorded_at", Moment, nullable=False),
        sa.Column("counts", Json, nullable=False),
        sa.CheckConstraint("action IN ('import','approval','rollback')", name=op.f("ck_price_imports_action")),
        sa.ForeignKeyConstraint(["of_import_id"], ["price_imports.id"], name="fk_price_imports_of_import_id"),
        sa.PrimaryKeyConstraint("id", name="pk_price_imports"),
    )
    op.create_index("ix_price_imports_of_import_id", "price_imports", ["of_import_id"], unique=False)
    op.create_index("ix_price_imports_content_hash", "price_imports", ["content_hash"], unique=False)
    op.create_index("ix_price_imports_recorded_at", "price_imports", ["recorded_at"], unique=False)
    if is_sqlite:
        _bring_prices_back(
            sa.Column("import_id", sa.String(length=26), nullable=True),
            sa.ForeignKeyConstraint(["import_id"], ["price_imports.id"], name="fk_prices_import_id"),
        )
    else:
        op.add_column("prices", sa.Column("import_id", sa.String(length=26), nullable=True))
        op.create_foreign_key("fk_prices_import_id", "prices", "price_imports", ["import_id"], ["id"])
    op.create_index("ix_prices_import_id", "prices", ["import_id"], unique=False)
    op.create_table(
        "price_import_rows",
        sa.Column("id", BigId, nullable=False),
        sa.Column("import_id", sa.String(length=26), nullable=False),
        sa.Column("place", sa.String(length=200), nullable=False),
        sa.Column("outcome", sa.String(length=20), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("offer_id", BigId, nullable=True),
        sa.Column("amount", sa.BigInteger(), nullable=True),
        sa.Column("compared_with", sa.BigInteger(), nullable=True),
        sa.Column("valid_from", Moment, nullable=True),
        sa.Column("source", sa.String(length=500), nullable=True),
        sa.Column("source_date", sa.Date(), nullable=True),
        sa.Column("decision", sa.String(length=20), nullable=True),
        sa.Column("decided_at", Moment, nullable=True),
        sa.Column("decided_by", sa.String(length=200), nullable=True),
        sa.CheckConstraint("outcome IN ('rejected','held')", name=op.f("ck_price_import_rows_outcome")),
        sa.CheckConstraint("decision IN ('approved','refused')", name=op.f("ck_price_import_rows_decision")),
        sa.CheckConstraint(
            "outcome <> 'held' OR (offer_id IS NOT NULL AND amount IS NOT NULL)", name=op.f("ck_price_import_rows_held")
        ),
        sa.ForeignKeyConstraint(["import_id"], ["price_imports.id"], name="fk_price_import_rows_import_id"),
        sa.ForeignKeyConstraint(["offer_id"], ["offers.id"], name="fk_price_import_rows_offer_id"),
        sa.PrimaryKeyConstraint("id", name="pk_price_import_rows"),
    )
    op.create_index("ix_price_import_rows_import_id", "price_import_rows", ["import_id"], unique=False)
    op.create_index("ix_price_import_rows_offer_id_outcome", "price_import_rows", ["offer_id", "outcome"], unique=False)
    op.create_table(
        "gpu_aliases",
        sa.Column("id", BigId, nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("scope", sa.String(length=100), nullable=False),
        sa.Column("gpu_key", sa.String(length=100), nullable=False),
        sa.Column("actor", sa.String(length=200), nullable=False),
        sa.Column("recorded_at", Moment, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_gpu_aliases"),
    )
    op.create_index("ix_gpu_aliases_scope_name", "gpu_aliases", ["scope", "name"], unique=False)
    op.create_table(
        "price_sources",
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("cron", sa.String(length=200), nullable=False),
        sa.Column("timezone", sa.String(length=100), nullable=False),
        sa.Column("allowed_changes", sa.String(length=20), nullable=False),
        sa.Column("updated_at", Moment, nullable=False),
        sa.Column("last_attempt_at", Moment, nullable=True),
        sa.Column("last_success_at", Moment, nullable=True),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("last_error_at", Moment, nullable=True),
        sa.Column("last_import_id", sa.String(length=26), nullable=True),
        sa.Column("last_num_rows", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(["last_import_id"], ["price_imports.id"], name="fk_price_sources_last_import_id"),
        sa.PrimaryKeyConstraint("name", name="pk_price_sources"),
    )
    op.create_table(
        "assets",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("gpu_key", sa.String(length=100), nullable=True),
        sa.Column("num_gpus", sa.Integer(), nullable=False),
        sa.Column("purchased_on", sa.Date(), nullable=True),
        sa.Column("lead_time_days", sa.Integer(), nullable=True),
        sa.Column("utilisation", sa.BigInteger(), nullable=True),
        sa.Column("figures", Json, nullable=False),
        sa.Column("notes", sa.Text(), nullable=False),
        sa.Column("created_at", Moment, nullable=False),
        sa.Column("updated_at", Moment, nullable=False),
        sa.Column("archived_at", Moment, nullable=True),
        sa.CheckConstraint("num_gpus > 0", name=op.f("ck_assets_num_gpus")),
        sa.PrimaryKeyConstraint("id", name="pk_assets"),
    )
    op.create_table(
        "asset_versions",
        sa.Column("asset_id", sa.String(length=26), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("recorded_at", Moment, nullable=False),
        sa.Column("document", Json, nullable=False),
        sa.ForeignKeyConstraint(["asset_id"], ["assets.id"], name="fk_asset_versions_asset_id"),
        sa.PrimaryKeyConstraint("asset_id", "version", name="pk_asset_versions"),
    )
    op.create_table(
        "asset_devices",
        sa.Column("device_id", sa.String(length=26), nullable=False),
        sa.Column("asset_id", sa.String(length=26), nullable=False),
        sa.ForeignKeyConstraint(["asset_id"], ["assets.id"], name="fk_asset_devices_asset_id"),
        sa.ForeignKeyConstraint(["device_id"], ["devices.id"], name="fk_asset_devices_device_id"),
        sa.PrimaryKeyConstraint("device_id", name="pk_asset_devices"),
    )
    op.create_index("ix_asset_devices_asset_id", "asset_devices", ["asset_id"], unique=False)
    op.create_table(
        "fx_rates",
        sa.Column("id", BigId, nullable=False),
        sa.Column("base", sa.String(length=3), nullable=False),
        sa.Column("quote", sa.String(length=3), nullable=False),
        sa.Column("rate", sa.BigInteger(), nullable=False),
        sa.Column("rate_date", sa.Date(), nullable=False),
        sa.Column("source", sa.String(length=500), nullable=False),
        sa.Column("recorded_at", Moment, nullable=False),
        sa.CheckConstraint("rate > 0", name=op.f("ck_fx_rates_rate")),
        sa.CheckConstraint("base <> quote", name=op.f("ck_fx_rates_two_currencies")),
        sa.PrimaryKeyConstraint("id", name="pk_fx_rates"),
        sa.UniqueConstraint(
            "base", "quote", "rate_date", "recorded_at", name="uq_fx_rates_base_quote_rate_date_recorded_at"
        ),
    )
    op.create_table(
        "price_books",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("source", sa.String(length=500), nullable=False),
        sa.Column("roles", Json, nullable=False),
        sa.Column("valid_from", Moment, nullable=False),
        sa.Column("valid_until", Moment, nullable=True),
        sa.Column("recorded_at", Moment, nullable=False),
        sa.Column("withdrawn_at", Moment, nullable=True),
        sa.CheckConstraint("valid_until IS NULL OR valid_until > valid_from", name=op.f("ck_price_books_period")),
        sa.PrimaryKeyConstraint("id", name="pk_price_books"),
    )
    op.create_table(
        "price_book_terms",
        sa.Column("id", BigId, nullable=False),
        sa.Column("book_id", sa.String(length=26), nullable=False),
        sa.Column("provider", sa.String(length=100), nullable=False),
        sa.Column("region", sa.String(length=100), nullable=True),
        sa.Column("instance_type", sa.String(length=200), nullable=True),
        sa.Column("gpu_key", sa.String(length=100), nullable=True),
        sa.Column("kind", sa.String(length=30), nullable=True),
        sa.Column("discount", sa.BigInteger(), nullable=True),
        sa.Column("amount", sa.BigInteger(), nullable=True),
        sa.Column("currency", sa.String(length=3), nullable=True),
        sa.Column("per_gpu", sa.Boolean(), nullable=False),
        sa.CheckConstraint("(discount IS NULL) <> (amount IS NULL)", name=op.f("ck_price_book_terms_one_of")),
        sa.CheckConstraint(
            "amount IS NULL OR (amount > 0 AND currency IS NOT NULL)", name=op.f("ck_price_book_terms_amount")
        ),
        sa.CheckConstraint(
            "discount IS NULL OR (discount > 0 AND discount < 1000000000000)", name=op.f("ck_price_book_terms_discount")
        ),
        sa.ForeignKeyConstraint(["book_id"], ["price_books.id"], name="fk_price_book_terms_book_id"),
        sa.PrimaryKeyConstraint("id", name="pk_price_book_terms"),
    )
    op.create_index("ix_price_book_terms_book_id", "price_book_terms", ["book_id"], unique=False)


def downgrade() -> None:
    """Back to 0001. Refuses where two offers differ in what is paid upfront alone: 0001 cannot hold them."""
    op.drop_index("ix_price_book_terms_book_id", table_name="price_book_terms")
    op.drop_table("price_book_terms")
    op.drop_table("price_books")
    op.drop_table("fx_rates")
    op.drop_index("ix_asset_devices_asset_id", table_name="asset_devices")
    op.drop_table("asset_devices")
    op.drop_table("asset_versions")
    op.drop_table("assets")
    op.drop_table("price_sources")
    op.drop_index("ix_gpu_aliases_scope_name", table_name="gpu_aliases")
    op.drop_table("gpu_aliases")
    op.drop_index("ix_price_import_rows_offer_id_outcome", table_name="price_import_rows")
    op.drop_index("ix_price_import_rows_import_id", table_name="price_import_rows")
    op.drop_table("price_import_rows")
    is_sqlite = op.get_bind().dialect.name == "sqlite"
    op.drop_index("ix_prices_import_id", table_name="prices")
    if is_sqlite:
        _set_prices_aside()
    else:
        op.drop_constraint("fk_prices_import_id", "prices", type_="foreignkey")
        op.drop_column("prices", "import_id")
    op.drop_index("ix_price_imports_recorded_at", table_name="price_imports")
    op.drop_index("ix_price_imports_content_hash", table_name="price_imports")
    op.drop_index("ix_price_imports_of_import_id", table_name="price_imports")
    op.drop_table("price_imports")
    with op.batch_alter_table("offers") as offers:
        offers.drop_constraint("uq_offers_identity", type_="unique")
        offers.create_unique_constraint(OLD_IDENTITY_NAME, OLD_IDENTITY)
        for name in (
            *("interruptions_per_hour", "lead_time_seconds", "minimum_term_seconds"),
            *("quota_gpus", "is_available", "interconnect", "upfront"),
        ):
            offers.drop_column(name)
    if is_sqlite:
        _bring_prices_back()


def _offer_checks() -> tuple[sa.CheckConstraint, ...]:
    """SQLite makes the table anew for these changes and cannot read its checks back, so they are stated again."""
    return (sa.CheckConstraint("num_gpus > 0", name=op.f("ck_offers_num_gpus")),)


def _set_prices_aside() -> None:
    """SQLite would have to make `offers` anew while prices refer to it, which its foreign keys do not allow."""
    op.execute(f"CREATE TABLE prices_kept AS SELECT {PRICE_COLUMNS} FROM prices")  # noqa: S608
    op.drop_table("prices")


def _bring_prices_back(*additions: sa.schema.SchemaItem) -> None:
    op.create_table(
        "prices",
        sa.Column("id", BigId, nullable=False),
        sa.Column("offer_id", BigId, nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("valid_from", Moment, nullable=False),
        sa.Column("recorded_at", Moment, nullable=False),
        sa.Column("source", sa.String(length=500), nullable=False),
        sa.Column("source_date", sa.Date(), nullable=False),
        *additions,
        sa.CheckConstraint("amount IS NOT NULL OR reason <> ''", name=op.f("ck_prices_reason")),
        sa.CheckConstraint("amount IS NULL OR amount > 0", name=op.f("ck_prices_amount")),
        sa.ForeignKeyConstraint(["offer_id"], ["offers.id"], name="fk_prices_offer_id"),
        sa.PrimaryKeyConstraint("id", name="pk_prices"),
        sa.UniqueConstraint("offer_id", "valid_from", "recorded_at", name="uq_prices_offer_id_valid_from_recorded_at"),
    )
    op.execute(f"INSERT INTO prices ({PRICE_COLUMNS}) SELECT {PRICE_COLUMNS} FROM prices_kept")  # noqa: S608
    op.drop_table("prices_kept")
