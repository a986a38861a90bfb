"""Bringing prices in safely: previewed, applied in one transaction, guarded against slips, rolled back by appending.

The rows come one at a time and are compared with the database in batches, so that memory does not grow with the file.
A price that moves by more than a fifth is held until a person approves it; what is held or rejected is kept with its
reason and never stops the rows that are sound. A file that cannot be trusted as a whole leaves nothing behind.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import islice

from ulid import ULID

from planner.errors import Conflict, InvalidInput, NotFound
from planner.hardware.catalogue import load_catalogue, normalised
from planner.offers.change_guard import AllowedChanges, change_in_words, is_allowed, is_too_large
from planner.offers.offer import Offer
from planner.offers.quote import Quote, Refused
from planner.store import offers as offer_store
from planner.store import price_imports as store
from planner.store.engine import Session
from planner.store.tables import OfferRow, PriceImportLogRow, PriceImportRow
from planner.units import plain_decimal

BATCH = 1000  # rows compared with the database at a time
NUM_LISTED = 1000  # rows of each kind that a preview lists; all are counted
NUM_LOGGED = 20_000  # rejected rows that are kept with an import; all are counted
MAX_OFFERS_REMEMBERED = 20_000
_HIGHEST_AMOUNT = Decimal(10) ** 8
_LOWEST_AMOUNT = Decimal("1e-10")
_HIGHEST_COUNT = Decimal(10) ** 9
_HIGHEST_FIGURE = Decimal(10) ** 6
LONGEST_SOURCE = 500


@dataclass
class ImportCounts:
    """How many rows met which fate; they add up to `num_rows`.

    `num_confirmed` state the amount that holds already, for a later moment or day, and are kept; `num_unchanged` were
    known to the last detail.
    """

    num_rows: int = 0
    num_new: int = 0
    num_changed: int = 0
    num_withdrawn: int = 0
    num_confirmed: int = 0
    num_unchanged: int = 0
    num_held: int = 0
    num_rejected: int = 0
    num_offers_added: int = 0
    num_unmapped: int = 0

    @property
    def num_accepted(self) -> int:
        """The prices that are appended."""
        return self.num_new + self.num_changed + self.num_withdrawn + self.num_confirmed


@dataclass(frozen=True, slots=True)
class ChangedPrice:
    """An accepted row whose amount differs from the one that held; `amount` None: withdrawn."""

    place: str
    offer: Offer
    before: Decimal | None
    amount: Decimal | None
    valid_from: datetime


@dataclass(frozen=True, slots=True)
class HeldPrice:
    """A row that waits for a person, with the amount that it was compared with."""

    place: str
    offer: Offer
    before: Decimal
    amount: Decimal
    valid_from: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class RejectedRow:
    """A row that cannot be used, and why."""

    place: str
    reason: str
    text: str = ""


@dataclass(frozen=True, slots=True)
class ImportPreview:
    """What an import does, or would do. Lists hold the first rows of each kind, the counts all.

    `unusable` is the reason for which nothing of the file may be kept; "" where it is sound. `left_out` counts rows
    that are well formed and no offers of GPU time. `unmapped` counts accepted offers by provider and GPU name that
    no alias knows.
    """

    source: str
    counts: ImportCounts
    changed: tuple[ChangedPrice, ...]
    held: tuple[HeldPrice, ...]
    rejected: tuple[RejectedRow, ...]
    unmapped: Mapping[tuple[str, str], int]
    left_out: Mapping[str, int]
    unusable: str = ""


@dataclass(frozen=True, slots=True)
class AppliedImport:
    """An import that was stored."""

    id: str
    recorded_at: datetime
    preview: ImportPreview


@dataclass(frozen=True, slots=True)
class ImportView:
    """A stored import, approval or rollback, for lists."""

    id: str
    action: str
    of_import_id: str | None
    source: str
    origin: str
    actor: str
    allowed_changes: AllowedChanges
    recorded_at: datetime
    counts: ImportCounts
    left_out: Mapping[str, int]
    rolled_back_by: str | None
    num_waiting: int


@dataclass(frozen=True, slots=True)
class LoggedRow:
    """A row that an import did not take: rejected, or held with what was decided on it (None: not yet)."""

    id: int
    import_id: str
    place: str
    outcome: str
    reason: str
    text: str
    provider: str | None
    region: str | None
    instance_type: str | None
    kind: str | None
    currency: str | None
    amount: Decimal | None
    compared_with: Decimal | None
    valid_from: datetime | None
    decision: str | None
    decided_at: datetime | None
    decided_by: str | None


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


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an import comes from: the file's name or address, the hash of its bytes, and who asked for it."""

    name: str = ""
    content_hash: str | None = None
    actor: str = ""


def preview_import(
    session: Session,
    quotes: Iterable[Quote | Refused],
    source_name: str,
    now: datetime,
    *,
    allow_large_changes: AllowedChanges = AllowedChanges.NONE,
    left_out: Mapping[str, int] | None = None,
) -> ImportPreview:
    """What applying these rows would do. It is really done, row by row, and then taken back within the transaction.

    `left_out` may be filled while the rows are read.
    """
    savepoint = session.begin_nested()
    try:
        return _Import(session, source_name, now, Origin(), allow_large_changes).take(quotes, left_out)
    finally:
        savepoint.rollback()


def apply_import(
    session: Session,
    quotes: Iterable[Quote | Refused],
    source_name: str,
    now: datetime,
    *,
    allow_large_changes: AllowedChanges = AllowedChanges.NONE,
    origin: Origin | None = None,
    left_out: Mapping[str, int] | None = None,
) -> AppliedImport:
    """Append what is new in these rows and keep a log. Raises InvalidInput, and stores nothing, for an unusable file.

    Safe to repeat: what is known already is not stored again, and what waits for a person is not asked again.
    """
    with session.begin_nested():
        running = _Import(session, source_name, now, origin or Origin(), allow_large_changes)
        preview = running.take(quotes, left_out)
        if preview.unusable:
            raise InvalidInput.of("file", f"{preview.unusable}; nothing of it was stored")
    return AppliedImport(running.id, running.recorded_at, preview)


def roll_back_import(session: Session, import_id: str, now: datetime, actor: str = "") -> ImportView:
    """Let everything hold as if the import, and the approvals of rows it had held, had never been: by appending.

    Raises NotFound, or Conflict where it was rolled back already or is a rollback itself.
    """
    offer_store.lock_writers(session)
    row = _import_row(session, import_id)
    if row.action == store.ROLLBACK:
        raise Conflict(f"{import_id} is a rollback; to undo it, import the file again")
    earlier = store.rolled_back_by(session, [import_id])
    if earlier:
        raise Conflict(f"import {import_id} was rolled back already, by {earlier[import_id]}")
    recorded_at = _next_recorded_at(session, now)
    rollback_id = _add(session, store.ROLLBACK, row.source, recorded_at, Origin(row.origin, None, actor), of=import_id)
    affected = [import_id, *store.approvals_of(session, import_id)]
    reason = f"the import {import_id} was rolled back, and no earlier price is known"
    number = store.roll_back(session, affected, rollback_id, recorded_at, reason)
    store.set_counts(session, rollback_id, asdict(ImportCounts(num_rows=number, num_changed=number)))
    session.expire_all()
    return get_import(session, rollback_id)


def approve_rows(
    session: Session, import_id: str, now: datetime, row_ids: Sequence[int] | None = None, actor: str = ""
) -> ImportView:
    """Append the prices that this import held: those of `row_ids`, or all that wait. Raises NotFound or Conflict."""
    offer_store.lock_writers(session)
    row = _import_row(session, import_id)
    chosen = _waiting(session, import_id, row_ids)
    prices = {(held.offer_id, held.valid_from): _held_price(held) for held, _ in chosen}
    if len(prices) < len(chosen):
        raise Conflict("two of these rows state different prices for the same offer and moment; approve one of them")
    recorded_at = _next_recorded_at(session, now)
    approval_id = _add(session, store.APPROVAL, row.source, recorded_at, Origin(row.origin, None, actor), of=import_id)
    store.append_prices(session, prices.values(), approval_id, recorded_at)
    store.decide(session, [held.id for held, _ in chosen], store.APPROVED, recorded_at, actor)
    counts = ImportCounts(num_rows=len(chosen), num_changed=len(chosen))
    store.set_counts(session, approval_id, asdict(counts))
    session.expire_all()
    return get_import(session, approval_id)


def refuse_rows(
    session: Session, import_id: str, now: datetime, row_ids: Sequence[int] | None = None, actor: str = ""
) -> int:
    """Decide that these held rows are wrong: the same amounts are rejected from now on. The number refused."""
    offer_store.lock_writers(session)
    _import_row(session, import_id)
    chosen = _waiting(session, import_id, row_ids)
    store.decide(session, [held.id for held, _ in chosen], store.REFUSED, now, actor)
    session.expire_all()
    return len(chosen)


def list_imports(session: Session, limit: int = 50, after: str | None = None) -> list[ImportView]:
    """The newest first; `after` is the id of the last one already seen."""
    rows = store.newest_imports(session, limit, after)
    ids = [row.id for row in rows]
    rolled_back, waiting = store.rolled_back_by(session, ids), store.num_waiting(session, ids)
    return [_view(row, rolled_back.get(row.id), waiting.get(row.id, 0)) for row in rows]


def get_import(session: Session, import_id: str) -> ImportView:
    """The import of that id; raises NotFound."""
    row = _import_row(session, import_id)
    rolled_back, waiting = store.rolled_back_by(session, [import_id]), store.num_waiting(session, [import_id])
    return _view(row, rolled_back.get(import_id), waiting.get(import_id, 0))


def import_rows(
    session: Session,
    import_id: str | None = None,
    outcome: str | None = None,
    *,
    waiting: bool = False,
    limit: int | None = 100,
    after: int = 0,
) -> list[LoggedRow]:
    """Rows that were not taken, of one import or of all; `waiting`: only those that a person has yet to decide."""
    if import_id is not None:
        _import_row(session, import_id)
    found = store.logged_rows(session, import_id, outcome, waiting=waiting, limit=limit, after=after)
    return [
        LoggedRow(
            id=row.id,
            import_id=row.import_id,
            place=row.place,
            outcome=row.outcome,
            reason=row.reason,
            text=row.text,
            provider=None if offer is None else offer.provider,
            region=None if offer is None else offer.region,
            instance_type=None if offer is None else offer.instance_type,
            kind=None if offer is None else offer.kind,
            currency=None if offer is None else offer.currency,
            amount=row.amount,
            compared_with=row.compared_with,
            valid_from=row.valid_from,
            decision=row.decision,
            decided_at=row.decided_at,
            decided_by=row.decided_by,
        )
        for row, offer in found
    ]


def first_received(session: Session, source_name: str, content_hash: str) -> datetime | None:
    """When the very same bytes were first imported: the day to date them by if they bear no date of their own."""
    row = store.first_import_of(session, source_name, content_hash)
    return None if row is None else row.recorded_at


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
    replaced = _own_aliases(session).get((scope, normalised(name)))
    store.add_alias(session, name, scope, gpu_key, actor, now)
    names = [other for other in store.gpu_names(session, scope) if normalised(other) == normalised(name)]
    number = store.map_offers(session, names, scope, gpu_key, replaced)
    session.expire_all()
    return MappedName(name, scope, gpu_key, number)


@dataclass(frozen=True, slots=True)
class _Point:
    """A price of this import that was accepted in the batch at hand and is not in the database yet."""

    valid_from: datetime
    amount: Decimal | None
    reason: str
    source_date: date


@dataclass
class _Import:
    """One import while it runs."""

    session: Session
    source: str
    now: datetime
    origin: Origin
    allowed: AllowedChanges
    counts: ImportCounts = field(default_factory=ImportCounts)
    changed: list[ChangedPrice] = field(default_factory=list)
    held: list[HeldPrice] = field(default_factory=list)
    rejected: list[RejectedRow] = field(default_factory=list)
    unmapped: Counter[tuple[str, str]] = field(default_factory=Counter)
    unusable: str = ""

    def __post_init__(self) -> None:
        offer_store.lock_writers(self.session)
        self.recorded_at = _next_recorded_at(self.session, self.now)
        self.id = _add(self.session, store.IMPORT, self.source, self.recorded_at, self.origin, allowed=self.allowed)
        self._aliases = _own_aliases(self.session)
        self._offers: dict[offer_store.Identity, tuple[int, Offer]] = {}
        self._asked: set[tuple[int, Decimal]] = set()
        self._log: list[store.LoggedRow] = []

    def take(self, quotes: Iterable[Quote | Refused], left_out: Mapping[str, int] | None) -> ImportPreview:
        """Take all rows in, batch by batch, and say what came of them."""
        rows = iter(quotes)
        while not self.unusable and (batch := list(islice(rows, BATCH))):
            self._take_batch(batch)
        store.set_counts(self.session, self.id, asdict(self.counts) | {"left_out": dict(left_out or {})})
        return ImportPreview(
            source=self.source,
            counts=self.counts,
            changed=tuple(self.changed),
            held=tuple(self.held),
            rejected=tuple(self.rejected),
            unmapped=dict(self.unmapped),
            left_out=dict(left_out or {}),
            unusable=self.unusable,
        )

    def _take_batch(self, batch: list[Quote | Refused]) -> None:
        sound = list(self._sound(batch))
        if self.unusable:
            return
        placed = self._place(sound)
        known = store.known_at(self.session, [(offer_id, quote.valid_from) for offer_id, quote in placed])
        points: dict[int, list[_Point]] = {}
        new, suspects = [], []
        for (offer_id, quote), found in zip(placed, known, strict=True):
            mine = points.setdefault(offer_id, [])
            current = _with_points(found, mine, quote.valid_from, self.id) if mine else found
            if current.import_id == self.id and current.holds_from == quote.valid_from:
                self._say_again(quote, current)
            elif self._is_suspect(quote, current):
                suspects.append((offer_id, quote, current))
            elif self._is_news(quote, current):
                amount = None if quote.amount is None else _kept(quote.amount)
                mine.append(_Point(quote.valid_from, amount, quote.reason, quote.source_date))
                new.append(_new_price(offer_id, quote))
        self._asked.clear()
        self._hold(suspects)
        store.append_prices(self.session, new, self.id, self.recorded_at)
        store.log_rows(self.session, self.id, self._log)
        self._log.clear()

    def _sound(self, batch: list[Quote | Refused]) -> Iterator[Quote]:
        """The quotes of the batch that can be stored, with people's own aliases applied; the others are rejected."""
        for item in batch:
            self.counts.num_rows += 1
            if isinstance(item, Refused):
                if item.is_whole_file:
                    self.unusable = str(item)
                self._reject(item.row, item.reason, item.text)
            elif fault := _fault(item, self.now):
                self._reject(item.row, fault)
            else:
                yield replace(item, offer=self._mapped(offer_store.as_kept(item.offer)))

    def _mapped(self, offer: Offer) -> Offer:
        if offer.gpu_key is not None or not self._aliases:
            return offer
        name = normalised(offer.gpu_name)
        return replace(offer, gpu_key=self._aliases.get((offer.provider, name)) or self._aliases.get(("", name)))

    def _place(self, quotes: list[Quote]) -> list[tuple[int, Quote]]:
        """Each quote with its offer's id; new offers are added, known ones take the description of now."""
        if len(self._offers) > MAX_OFFERS_REMEMBERED:
            self._offers.clear()
        missing = {quote.offer.identity for quote in quotes} - self._offers.keys()
        self._offers |= offer_store.known_offers(self.session, missing)
        usable: list[Quote] = []
        new: dict[offer_store.Identity, Offer] = {}
        described: dict[int, Offer] = {}
        for quote in quotes:
            key = quote.offer.identity
            known = self._offers[key][1] if key in self._offers else new.get(key)
            if known is None:
                new[key] = quote.offer
            elif known.num_gpus != quote.offer.num_gpus and self.allowed is not AllowedChanges.ALL:
                stated, before = plain_decimal(quote.offer.num_gpus), plain_decimal(known.num_gpus)
                self._reject(quote.row, f"the offer is known with {before} GPUs, this row says {stated}")
                continue
            elif (merged := offer_store.described_by(known, quote.offer)) != known:
                if key in new:
                    new[key] = merged
                else:
                    described[self._offers[key][0]] = merged
                    self._offers[key] = (self._offers[key][0], merged)
            usable.append(quote)
        offer_store.describe_offers(self.session, described)
        ids = offer_store.add_offers(self.session, list(new.values()), self.recorded_at)
        self._offers |= {key: (offer_id, offer) for (key, offer), offer_id in zip(new.items(), ids, strict=True)}
        self.counts.num_offers_added += len(new)
        return [(self._note_unmapped(quote), quote) for quote in usable]

    def _note_unmapped(self, quote: Quote) -> int:
        offer_id, offer = self._offers[quote.offer.identity]
        if offer.gpu_key is None:
            self.counts.num_unmapped += 1
            if len(self.unmapped) < NUM_LISTED or (offer.provider, offer.gpu_name) in self.unmapped:
                self.unmapped[offer.provider, offer.gpu_name] += 1
        return offer_id

    def _say_again(self, quote: Quote, current: store.Known) -> None:
        """A second row of this very import for the same offer and moment."""
        if (quote.amount is not None and current.amount == _kept(quote.amount)) or (
            quote.amount is None and current.amount is None
        ):
            self.counts.num_unchanged += 1
        else:
            before = "no amount" if current.amount is None else plain_decimal(current.amount)
            self._reject(quote.row, f"an earlier row states {before} for the same offer and moment")

    def _is_suspect(self, quote: Quote, current: store.Known) -> bool:
        before = current.compared_with
        if quote.amount is None or before is None or is_allowed(quote.offer.kind, self.allowed):
            return False
        return is_too_large(before, quote.amount)

    def _is_news(self, quote: Quote, current: store.Known) -> bool:
        """Whether the price is to be appended; counts it."""
        counts, amount = self.counts, None if quote.amount is None else _kept(quote.amount)
        if current.holds_from == quote.valid_from and (amount, quote.reason) == (current.amount, current.reason):
            is_later = current.source_date is not None and quote.source_date > current.source_date
            counts.num_confirmed += is_later
            counts.num_unchanged += not is_later
            return is_later
        if current.holds_from is None:
            counts.num_new += 1
            return True
        if amount == current.amount:
            counts.num_confirmed += 1
            return True
        counts.num_withdrawn += amount is None
        counts.num_changed += amount is not None
        if len(self.changed) < NUM_LISTED:
            row = ChangedPrice(_place(quote.row), quote.offer, current.amount, amount, quote.valid_from)
            self.changed.append(row)
        return True

    def _hold(self, suspects: list[tuple[int, Quote, store.Known]]) -> None:
        """Keep rows for a person, unless the same amount waits already or was refused before."""
        if not suspects:
            return
        decisions = store.earlier_decisions(self.session, (offer_id for offer_id, _, _ in suspects))
        for offer_id, quote, current in suspects:
            if quote.amount is None or current.compared_with is None:
                raise ValueError("only a price with an amount to compare with can be held")
            amount, before = _kept(quote.amount), current.compared_with
            change = f"{plain_decimal(before)} → {plain_decimal(amount)} ({change_in_words(before, amount)})"
            if decisions.get((offer_id, amount)) == store.REFUSED:
                self._reject(quote.row, f"{change}: this amount was refused by a person before")
                continue
            self.counts.num_held += 1
            reason = f"{change}: a change of more than a fifth waits for approval"
            if len(self.held) < NUM_LISTED:
                offer = self._offers[quote.offer.identity][1]
                self.held.append(HeldPrice(_place(quote.row), offer, before, amount, quote.valid_from, reason))
            is_waiting = (offer_id, amount) in self._asked or decisions.get((offer_id, amount), "") is None
            self._asked.add((offer_id, amount))
            if not is_waiting:
                self._log.append(
                    store.LoggedRow(
                        place=_place(quote.row),
                        outcome=store.HELD,
                        reason=reason,
                        offer_id=offer_id,
                        amount=amount,
                        compared_with=before,
                        valid_from=quote.valid_from,
                        source=quote.source,
                        source_date=quote.source_date,
                    )
                )

    def _reject(self, row: int | str, reason: str, text: str = "") -> None:
        self.counts.num_rejected += 1
        if len(self.rejected) < NUM_LISTED:
            self.rejected.append(RejectedRow(_place(row), reason, text))
        if self.counts.num_rejected <= NUM_LOGGED:
            clean = text.replace("\x00", "�").encode("utf-8", "replace").decode()
            self._log.append(store.LoggedRow(_place(row), store.REJECTED, reason.replace("\x00", "�"), clean))


def _with_points(known: store.Known, points: list[_Point], moment: datetime, import_id: str) -> store.Known:
    """What is known of an offer at `moment` once the batch's own accepted prices count too."""
    held = max((p for p in points if p.valid_from <= moment), key=lambda p: p.valid_from, default=None)
    if held is not None and (known.holds_from is None or held.valid_from >= known.holds_from):
        known = known._replace(
            holds_from=held.valid_from,
            amount=held.amount,
            reason=held.reason,
            source_date=held.source_date,
            import_id=import_id,
        )
    priced = [p for p in points if p.amount is not None]
    nearest = _nearest(priced, known.compared_from, moment)
    return known if nearest is None else known._replace(compared_from=nearest.valid_from, compared_with=nearest.amount)


def _nearest(priced: list[_Point], known_from: datetime | None, moment: datetime) -> _Point | None:
    """The point to compare with instead of the one known: the last until the moment, else the first after it."""
    until = max((p for p in priced if p.valid_from <= moment), key=lambda p: p.valid_from, default=None)
    has_until = known_from is not None and known_from <= moment
    if until is not None:
        return until if known_from is None or not has_until or until.valid_from >= known_from else None
    if has_until:
        return None
    after = min((p for p in priced if p.valid_from > moment), key=lambda p: p.valid_from, default=None)
    return after if after is not None and (known_from is None or after.valid_from <= known_from) else None


def _fault(quote: Quote, now: datetime) -> str:
    """Why the quote cannot be stored, "" where it can."""
    offer = quote.offer
    for name, longest in store.LONGEST.items():
        value = getattr(offer, name) or ""
        if len(value) > longest:
            return f"{name}: longer than {longest} characters"
        if not _is_text(value):
            return f"{name}: {value!r} has a control character"
    if len(quote.source) > LONGEST_SOURCE or not _is_text(quote.source) or not _is_text(quote.reason):
        return f"source or reason: longer than {LONGEST_SOURCE} characters, or with a control character"
    if quote.amount is not None and not _LOWEST_AMOUNT <= quote.amount <= _HIGHEST_AMOUNT:
        amount = plain_decimal(quote.amount)
        return f"the price {amount} is not between {plain_decimal(_LOWEST_AMOUNT)} and {plain_decimal(_HIGHEST_AMOUNT)}"
    if round(offer.num_gpus, 6) == 0 or offer.num_gpus > _HIGHEST_COUNT:
        return f"{plain_decimal(offer.num_gpus)} GPUs cannot be meant"
    figures = (offer.vcpus, offer.quota_gpus, offer.interruptions_per_hour)
    if any(figure is not None and not 0 <= figure <= _HIGHEST_FIGURE for figure in figures):
        return "vCPUs, quota or interruptions are below 0 or too large"
    sizes = (offer.memory_bytes, offer.minimum_term_seconds, offer.lead_time_seconds)
    if any(size is not None and not 0 <= size < 2**63 for size in sizes):
        return "memory, minimum term or lead time is below 0 or too large"
    if quote.source_date > now.astimezone(UTC).date() + timedelta(days=1):
        return f"the stated date {quote.source_date} lies in the future"
    return ""


def _is_text(value: str) -> bool:
    """Whether every database can keep it as it is."""
    return value.isprintable() or not any(ord(sign) < 32 or 0xD800 <= ord(sign) < 0xE000 for sign in value)


def _place(row: int | str) -> str:
    """Where a row stands, in words: a line of the file or the source's own name of it."""
    place = f"line {row}" if isinstance(row, int) else row
    return "".join(sign if sign.isprintable() else "�" for sign in place)[: store.LONGEST_PLACE]


def _kept(amount: Decimal) -> Decimal:
    """The amount to the places that are kept."""
    return round(amount, 10)


def _new_price(offer_id: int, quote: Quote) -> store.NewPrice:
    return store.NewPrice(offer_id, quote.amount, quote.reason, quote.valid_from, quote.source, quote.source_date)


def _held_price(row: PriceImportLogRow) -> store.NewPrice:
    if row.offer_id is None or row.valid_from is None or row.source is None or row.source_date is None:
        raise ValueError(f"the held row {row.id} lacks what a price needs")
    return store.NewPrice(row.offer_id, row.amount, "", row.valid_from, row.source, row.source_date)


def _waiting(
    session: Session, import_id: str, row_ids: Sequence[int] | None
) -> list[tuple[PriceImportLogRow, OfferRow | None]]:
    """The chosen rows, all of them waiting; raises NotFound or Conflict otherwise."""
    if store.rolled_back_by(session, [import_id]):
        raise Conflict(f"import {import_id} was rolled back; import the file again")
    waiting = store.logged_rows(session, import_id, store.HELD, waiting=True, limit=None, after=0)
    if row_ids is None:
        if not waiting:
            raise Conflict(f"no row of import {import_id} waits for a decision")
        return waiting
    chosen = [(row, offer) for row, offer in waiting if row.id in set(row_ids)]
    missing = sorted(set(row_ids) - {row.id for row, _ in chosen})
    if missing:
        raise NotFound(f"no row {', '.join(map(str, missing))} of import {import_id} waits for a decision")
    return chosen


def _own_aliases(session: Session) -> dict[tuple[str, str], str]:
    """People's aliases by provider ("": all) and name in the form in which names are compared; the last one counts."""
    return {(row.scope, normalised(row.name)): row.gpu_key for row in store.aliases(session)}


def _next_recorded_at(session: Session, now: datetime) -> datetime:
    """Later than anything recorded: what was known at an earlier moment must not change. Call it with the lock held."""
    newest = store.newest_recorded_at(session)
    return now if newest is None or newest < now else newest + timedelta(microseconds=1)


def _add(
    session: Session,
    action: str,
    source: str,
    recorded_at: datetime,
    origin: Origin,
    *,
    of: str | None = None,
    allowed: AllowedChanges = AllowedChanges.NONE,
) -> str:
    import_id = str(ULID.from_datetime(recorded_at))
    store.add_import(
        session,
        {
            "id": import_id,
            "action": action,
            "of_import_id": of,
            "source": source,
            "origin": origin.name,
            "content_hash": origin.content_hash,
            "actor": origin.actor,
            "allowed_changes": allowed.value,
            "recorded_at": recorded_at,
            "counts": {},
        },
    )
    return import_id


def _import_row(session: Session, import_id: str) -> PriceImportRow:
    row = store.get_import(session, import_id)
    if row is None:
        raise NotFound(f"there is no price import {import_id!r}")
    return row


def _view(row: PriceImportRow, rolled_back_by: str | None, num_waiting: int) -> ImportView:
    counts = dict(row.counts)
    left_out = counts.pop("left_out", {})
    return ImportView(
        id=row.id,
        action=row.action,
        of_import_id=row.of_import_id,
        source=row.source,
        origin=row.origin,
        actor=row.actor,
        allowed_changes=AllowedChanges(row.allowed_changes),
        recorded_at=row.recorded_at,
        counts=ImportCounts(**counts),
        left_out=left_out,
        rolled_back_by=rolled_back_by,
        num_waiting=num_waiting,
    )
