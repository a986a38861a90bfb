"""One import of prices while it runs: each row is compared with the database and finds its fate.

The rows come one at a time and are compared in batches, so that memory does not grow with the file.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from itertools import groupby, islice

from ulid import ULID

from planner.hardware.catalogue import normalised
from planner.offers.change_guard import AllowedChanges, is_allowed, is_too_large
from planner.offers.offer import Offer
from planner.offers.quote import Quote, Refused
from planner.services.gpu_names import own_aliases
from planner.services.import_checks import as_kept, fault_of, place_of
from planner.services.import_lines import Line, Point, Suspect, new_price, with_points
from planner.services.import_report import ChangedPrice, HeldPrice, ImportCounts, ImportPreview, Origin, RejectedRow
from planner.services.moments import later_than
from planner.store import offers as offer_store
from planner.store import price_imports as store
from planner.store.engine import Session
from planner.units import plain_decimal

BATCH = 1000  # rows compared with the database at a time
NUM_LISTED = 1000  # rows of each kind that a preview lists; all are counted
NUM_LOGGED = 20_000  # rejected rows that are kept with an import; all are counted
MAX_OFFERS_REMEMBERED = 20_000
SNAPSHOT_FROM = 3  # large changes of one moment that cast doubt on its small ones
_LARGE = "a change of more than a fifth"
_BESIDE_LARGE = "most prices of this moment move by more than a fifth"


@dataclass
class Import:
    """One import while it runs. Making one takes the writers' lock and adds the import's own row."""

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
        self.recorded_at = next_recorded_at(self.session, self.now)
        self.id = add_import(
            self.session, store.IMPORT, self.source, self.recorded_at, self.origin, allowed=self.allowed
        )
        self._aliases = own_aliases(self.session)
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
        self._asked.clear()
        sound = list(self._sound(batch))
        if self.unusable:
            return
        placed = self._place(sound)
        known = store.known_at(self.session, [(offer_id, quote.valid_from) for offer_id, quote in placed])
        points: dict[int, list[Point]] = {}
        new: list[store.NewPrice] = []
        lines = [Line(offer_id, quote, found) for (offer_id, quote), found in zip(placed, known, strict=True)]
        for _, snapshot in groupby(lines, key=lambda line: line.quote.valid_from):
            new += self._take_snapshot(list(snapshot), points)
        store.append_prices(self.session, new, self.id, self.recorded_at)
        store.log_rows(self.session, self.id, self._log)
        self._log.clear()

    def _take_snapshot(self, lines: list[Line], points: dict[int, list[Point]]) -> Iterator[store.NewPrice]:
        """The prices to append of neighbouring rows that hold from one moment on; the others are held or rejected."""
        taken: dict[int, Line] = {}
        for line in lines:
            mine = points.get(line.offer_id)
            if mine:
                line = replace(line, known=with_points(line.known, mine, line.quote.valid_from, self.id))
            if line.offer_id in taken:
                self._say_again(line.quote, taken[line.offer_id].quote.amount)
            elif line.known.import_id == self.id and line.known.holds_from == line.quote.valid_from:
                self._say_again(line.quote, line.known.amount)
            else:
                taken[line.offer_id] = line
        suspects, others = self._suspects(list(taken.values()))
        self._hold(suspects)
        for line in others:
            if self._is_news(line.quote, line.known):
                points.setdefault(line.offer_id, []).append(Point.of(line.quote))
                yield new_price(line.offer_id, line.quote)

    def _suspects(self, lines: list[Line]) -> tuple[list[Suspect], list[Line]]:
        """The rows to hold, and the others.

        Where most amounts that one moment changes move by more than a fifth, the source is likely wrong about the
        moment as a whole: then its smaller changes wait too.
        """
        suspects, moved, others = [], [], []
        for line in lines:
            before, after = line.known.compared_with, line.quote.amount
            if before is None or after is None or is_allowed(line.quote.offer.kind, self.allowed):
                others.append(line)
            elif is_too_large(before, after):
                suspects.append(Suspect(line, before, as_kept(after), _LARGE))
            elif before != as_kept(after):
                moved.append(Suspect(line, before, as_kept(after), _BESIDE_LARGE))
            else:
                others.append(line)
        if len(suspects) >= SNAPSHOT_FROM and len(suspects) > len(moved):
            suspects += moved
        else:
            others += [suspect.line for suspect in moved]
        return suspects, others

    def _sound(self, batch: list[Quote | Refused]) -> Iterator[Quote]:
        """The quotes of the batch that can be stored, with people's own aliases applied; the others are rejected."""
        for item in batch:
            self.counts.num_rows += 1
            if isinstance(item, Refused):
                if item.is_whole_file:
                    self.unusable = str(item)
                self._reject(item.row, item.reason, item.text)
            elif fault := fault_of(item, self.now):
                self._reject(item.row, fault)
            else:
                offer = self._mapped(offer_store.as_kept(item.offer))
                yield item if offer is item.offer else replace(item, offer=offer)

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

    def _say_again(self, quote: Quote, said: Decimal | None) -> None:
        """A second row of this very import for the same offer and moment."""
        if (quote.amount and as_kept(quote.amount)) == (said and as_kept(said)):
            self.counts.num_unchanged += 1
        else:
            before = "no amount" if said is None else plain_decimal(said)
            self._reject(quote.row, f"an earlier row states {before} for the same offer and moment")

    def _is_news(self, quote: Quote, current: store.Known) -> bool:
        """Whether the price is to be appended; counts it."""
        counts, amount = self.counts, None if quote.amount is None else as_kept(quote.amount)
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
            row = ChangedPrice(place_of(quote.row), quote.offer, current.amount, amount, quote.valid_from)
            self.changed.append(row)
        return True

    def _hold(self, suspects: list[Suspect]) -> None:
        """Keep rows for a person, unless the same amount waits already or was refused before."""
        if not suspects:
            return
        decisions = store.earlier_decisions(self.session, (suspect.line.offer_id for suspect in suspects))
        for suspect in suspects:
            offer_id, quote = suspect.line.offer_id, suspect.line.quote
            decision = decisions.get((offer_id, suspect.after), "none")
            if decision == store.REFUSED:
                self._reject(quote.row, f"{suspect.change}: this amount was refused by a person before")
                continue
            self.counts.num_held += 1
            reason = f"{suspect.change}: {suspect.reason}; it waits for approval"
            if len(self.held) < NUM_LISTED:
                offer = self._offers[quote.offer.identity][1]
                row = HeldPrice(place_of(quote.row), offer, suspect.before, suspect.after, quote.valid_from, reason)
                self.held.append(row)
            is_asked = decision is None or (offer_id, suspect.after) in self._asked
            self._asked.add((offer_id, suspect.after))
            if not is_asked:
                self._log.append(suspect.logged(reason))

    def _reject(self, row: int | str, reason: str, text: str = "") -> None:
        self.counts.num_rejected += 1
        if len(self.rejected) < NUM_LISTED:
            self.rejected.append(RejectedRow(place_of(row), reason, text))
        if self.counts.num_rejected <= NUM_LOGGED:
            clean = text.replace("\x00", "�").encode("utf-8", "replace").decode()
            self._log.append(store.LoggedRow(place_of(row), store.REJECTED, reason.replace("\x00", "�"), clean))


def next_recorded_at(session: Session, now: datetime) -> datetime:
    """Later than anything recorded: what was known at an earlier moment must not change. Call it with the lock held."""
    return later_than(store.newest_recorded_at(session), now)


def add_import(
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
