"""Providers' words for GPUs that no alias knows, and people's own word on what they stand for."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from planner.errors import InvalidInput, NotFound
from planner.hardware.catalogue import load_catalogue, normalised
from planner.store import offers as offer_store
from planner.store import price_imports as store
from planner.store.engine import Session


@dataclass(frozen=True, slots=True)
class UnmappedName:
    """A provider's word for a GPU that no alias knows, how many offers bear it, and one of them."""

    provider: str
    gpu_name: str
    num_offers: int
    example: str


@dataclass(frozen=True, slots=True)
class MappedName:
    """A name that was mapped, and how many offers follow it."""

    name: str
    scope: str
    gpu_key: str
    num_offers: int


def unmapped_names(session: Session) -> list[UnmappedName]:
    """Providers' words for GPUs that no alias knows, the most frequent first."""
    return [UnmappedName(*row) for row in store.unmapped(session)]


def map_gpu_name(session: Session, name: str, scope: str, gpu_key: str, now: datetime, actor: str = "") -> MappedName:
    """Say which GPU a provider's word stands for: offers under it follow, now and in imports to come.

    `scope` is the provider; "" is every one. A later mapping of the same name replaces an earlier one; names that the
    shipped alias table knows keep its answer. Raises InvalidInput for a key that is not in the catalogue.
    """
    if not normalised(name):
        raise InvalidInput.of("name", "nothing of the name counts")
    try:
        load_catalogue().get(gpu_key)
    except NotFound as error:
        raise InvalidInput.of("gpu_key", str(error)) from None
    offer_store.lock_writers(session)
    replaced = own_aliases(session).get((scope, normalised(name)))
    store.add_alias(session, name, scope, gpu_key, actor, now)
    names = [other for other in store.gpu_names(session, scope) if normalised(other) == normalised(name)]
    number = store.map_offers(session, names, scope, gpu_key, replaced)
    session.expire_all()
    return MappedName(name, scope, gpu_key, number)


def own_aliases(session: Session) -> dict[tuple[str, str], str]:
    """People's aliases by provider ("": all) and name in the form in which names are compared; the last one counts."""
    return {(row.scope, normalised(row.name)): row.gpu_key for row in store.aliases(session)}
