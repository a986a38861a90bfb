"""Fits: appended documents, of which each device's newest counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session
from ulid import ULID

from planner.store.tables import FitRow


def add_fit(
    session: Session,
    device_id: str,
    gpu_key: str | None,
    run_ids: Sequence[str],
    document: Mapping[str, Any],
    code_version: str,
    now: datetime,
) -> str:
    """Append a fit; returns its id."""
    row = FitRow(
        id=str(ULID.from_datetime(now)),
        device_id=device_id,
        gpu_key=gpu_key,
        created_at=now,
        run_ids=list(run_ids),
        code_version=code_version,
        document=dict(document),
    )
    session.add(row)
    session.flush()
    return row.id


def newest_fit_before(session: Session, device_id: str, moment: datetime) -> FitRow | None:
    """The device's newest fit from before that moment."""
    query = select(FitRow).where(FitRow.device_id == device_id, FitRow.created_at < moment)
    return session.scalars(query.order_by(FitRow.created_at.desc(), FitRow.id.desc()).limit(1)).first()


def fits_of(session: Session, device_id: str, limit: int) -> list[FitRow]:
    """The device's fits, newest first."""
    query = select(FitRow).where(FitRow.device_id == device_id)
    return list(session.scalars(query.order_by(FitRow.id.desc()).limit(limit)))
