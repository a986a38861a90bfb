"""Jobs whose items take a pass each: pictures, frames of cameras, texts to embed, drawings. The batch that answers most
is searched under the time that an item may take; of cameras as many as a GPU keeps up with."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from planner import units
from planner.estimates import memory
from planner.estimates.estimate import Bottleneck
from planner.estimates.layout import ARRAYS, Layouts, inference_layouts
from planner.estimates.memory import pick
from planner.estimates.outcome import Outcome, inverse
from planner.estimates.profile import Lack, Profile
from planner.estimates.serving import reachable, serve, serving_links
from planner.estimates.serving_steps import Deployment, serving_items
from planner.estimates.serving_times import serving_times
from planner.jobs.document import counted
from planner.jobs.job import InferenceJob, Item
from planner.quantity import Basis, Cause, Quantity

Array = NDArray[np.float64]
MOST, MOST_CAMERAS = 256, 1024  # items of a batch that are tried
SATURATED = 0.02  # of the most per second, which the smaller batch may lack: no estimate tells so close rates apart


@dataclass(frozen=True, slots=True)
class Batches:
    """Layouts with so many items in a batch of each replica: seconds until they are answered, and what memory says.

    All are arrays of one length; `layouts` repeats each layout for every batch."""

    layouts: Layouts
    items: Array
    seconds: Array
    fits: NDArray[np.bool_]

    @property
    def at_a_time(self) -> Array:
        """Items on all replicas."""
        found: Array = self.layouts.data_parallel * self.items
        return found

    @property
    def per_second(self) -> Array:
        found: Array = self.at_a_time / self.seconds
        return found

    def of_layout(self, place: int) -> Batches:
        """Those of the layout that stands there."""
        same = [getattr(self.layouts, name) == getattr(self.layouts, name)[place] for name in ARRAYS]
        kept = np.logical_and.reduce(same)
        return Batches(self.layouts.only(kept), self.items[kept], self.seconds[kept], self.fits[kept])


def answer_passes(
    job: InferenceJob, profile: Profile, num_gpus: int, usable: float, gpus_per_node: int | None = None
) -> Outcome | Lack:
    """The batch and the layout that answer most in the time that an item may take, or why there is none.

    `request_seconds` is that of the whole batch, `alone_seconds` that of one item with a replica to itself.
    """
    table = _batches(job, profile, num_gpus, usable, gpus_per_node)
    if table is None or not table.fits.any():
        asked = None if job.concurrency is None else job.concurrency * job.rows
        return serve(replace(job, concurrency=asked), profile, num_gpus, usable, gpus_per_node)
    wanted = table.fits & _is_wanted(job, table)
    if not wanted.any():  # one item fits, so many at a time do not
        many = (job.concurrency or 1) * job.rows
        return serve(replace(job, concurrency=many), profile, num_gpus, usable, gpus_per_node)
    keeps = wanted & (table.seconds <= _limit(job))
    if not keeps.any():
        return _too_slow(job, profile, table, usable)
    place = _best(job, table, keeps)
    layout = table.layouts.at(place)
    batch, at_a_time = int(table.items[place]), int(table.at_a_time[place])
    at_a_time = at_a_time if job.concurrency is None else min(at_a_time, job.concurrency)
    plain = replace(
        job,
        concurrency=at_a_time * job.rows,
        num_requests=None,
        tensor_parallel=layout.tensor_parallel,
        expert_parallel=layout.expert_parallel,
    )
    found = serve(plain, profile, num_gpus, usable, gpus_per_node)
    if isinstance(found, Lack):
        return found
    return _of_items(job, found, table.of_layout(place), at_a_time, batch)


def _batches(
    job: InferenceJob, profile: Profile, num_gpus: int, usable: float, gpus_per_node: int | None
) -> Batches | None:
    """Every layout with every batch that may be wanted, one item among them; None where there is no layout."""
    links = serving_links(profile.gpu, num_gpus, gpus_per_node, profile.links) if num_gpus > 1 else None
    layouts = reachable(inference_layouts(job, num_gpus), links)
    if not layouts.size:
        return None
    sizes = [_sizes(job, int(replicas)) for replicas in layouts.data_parallel]
    repeated = _repeated(layouts, [len(each) for each in sizes])
    items = np.concatenate([np.array(each, dtype=float) for each in sizes])
    deployment = Deployment(job, profile, repeated, links)
    rows = items * job.rows
    needed = memory.total(serving_items(job, profile, repeated, rows))
    times = serving_times(deployment, rows, repeated.data_parallel * rows)
    seconds = np.broadcast_to(times.request * float(job.passes), items.shape)
    return Batches(repeated, items, seconds, np.broadcast_to(needed <= usable, items.shape))


def _sizes(job: InferenceJob, replicas: int) -> Sequence[int]:
    """Batches of one replica, one item first: what is asked for, every size for cameras, else doublings."""
    if job.concurrency is not None:
        return sorted({1, math.ceil(job.concurrency / replicas)})
    if job.frame_rate is not None:
        return range(1, MOST_CAMERAS + 1)
    most = MOST if job.num_requests is None else min(MOST, math.ceil(job.num_requests / replicas))
    return sorted({*(size for size in (2**power for power in range(9)) if size <= most), most})


def _repeated(layouts: Layouts, counts: Sequence[int]) -> Layouts:
    arrays = {name: np.repeat(getattr(layouts, name), counts) for name in ARRAYS}
    return Layouts(**arrays, recompute=layouts.recompute)


def _is_wanted(job: InferenceJob, table: Batches) -> NDArray[np.bool_]:
    """What is asked for, where it is: one item stands there for comparison."""
    if job.concurrency is None:
        return np.ones(table.items.shape, dtype=bool)
    found: NDArray[np.bool_] = table.items == np.ceil(job.concurrency / table.layouts.data_parallel)
    return found


def _limit(job: InferenceJob) -> float:
    """The seconds that a batch may take: an item's limit, and frames before the next ones show."""
    between = math.inf if job.frame_rate is None else 1.0 / job.frame_rate
    return min(math.inf if job.answer_seconds is None else job.answer_seconds, between)


def _best(job: InferenceJob, table: Batches, keeps: NDArray[np.bool_]) -> int:
    """The place with the most cameras, or the smallest batch of those that answer about as much as the most."""
    worth, lacks = (table.per_second, SATURATED) if job.frame_rate is None else (table.at_a_time, 0.0)
    places = np.flatnonzero(keeps & (worth >= np.where(keeps, worth, 0.0).max() * (1.0 - lacks)))
    order = np.lexsort((table.layouts.simplicity[places], table.items[places]))
    return int(places[order[0]])


def _of_items(job: InferenceJob, found: Outcome, table: Batches, at_a_time: int, batch: int) -> Outcome:
    """The outcome of passes over rows as one of items: several rows and passes each, at the rate at which they come."""
    request = found.extras["request_seconds"].times(float(job.passes))
    per_item = Quantity.around(request.mid / at_a_time, "s", found.basis, request.causes)
    alone = float(table.seconds[table.items == 1][0])
    extras = {
        "alone_seconds": Quantity.around(alone, "s", found.basis, request.causes),
        "request_seconds": request,
        "requests_per_second": inverse(per_item, 1.0, f"{job.item.value}s/s"),
        "concurrency": Quantity.exact(float(at_a_time), f"{job.item.value}s", found.basis),
    }
    if job.frame_rate is not None:
        cameras = _cameras(job, table, at_a_time, request.causes)
        per_item = _between_frames(cameras, job.frame_rate)
        extras |= {
            "most_requests_per_second": extras["requests_per_second"],
            "requests_per_second": inverse(per_item, 1.0, "frames/s"),
            "concurrency": cameras,
        }
    joules = found.extras.get("joules_per_request")
    if joules is not None:
        extras["joules_per_request"] = joules = joules.times(float(job.rows * job.passes))
    seconds = energy = None
    if job.num_requests is not None:
        seconds = per_item.times(max(job.num_requests, float(at_a_time)))
        energy = None if joules is None else joules.times(job.num_requests)
    unknown = {name: why for name, why in found.unknown.items() if seconds is None or name != "seconds"}
    return replace(
        found,
        seconds=seconds,
        tokens_per_second=inverse(per_item, float(job.prompt_tokens), "tokens/s"),
        energy_joules=energy,
        extras=extras,
        notes=(*_notes(job, request, batch, found.layout.data_parallel), *found.notes),
        unknown=unknown,
    )


def _cameras(job: InferenceJob, table: Batches, at_a_time: int, causes: tuple[Cause, ...]) -> Quantity:
    """Cameras that all replicas keep up with; where their number is asked for, that number."""
    basis_range = Quantity.around(1.0, "", Basis.DERIVED, causes)
    if job.concurrency is not None:
        return Quantity.exact(float(at_a_time), "cameras", Basis.DERIVED)

    def kept(slower: float) -> float:
        keeps = table.fits & (table.seconds * slower <= _limit(job))
        return float(np.where(keeps, table.at_a_time, 0.0).max())

    ends = kept(basis_range.high), float(at_a_time), max(kept(basis_range.low), float(at_a_time))
    return Quantity(*ends, "cameras", Basis.DERIVED, causes)


def _between_frames(cameras: Quantity, frame_rate: float) -> Quantity:
    """Seconds between two frames of all cameras together; at the slow end of at least one camera."""
    low, mid, high = (1.0 / (max(number, 1.0) * frame_rate) for number in (cameras.high, cameras.mid, cameras.low))
    return Quantity(low, mid, high, "s", cameras.basis, cameras.causes)


def _notes(job: InferenceJob, request: Quantity, batch: int, replicas: int) -> tuple[str, ...]:
    word, limit = job.item.value, _limit(job)
    each = "" if replicas == 1 else f" on each of {counted(replicas, 'replica')}"
    notes = []
    if job.frame_rate is not None:
        if batch == MOST_CAMERAS:
            notes.append(f"No more than {MOST_CAMERAS:,} cameras are tried on a replica.")
        share = request.mid * job.frame_rate
        notes.append(
            f"{counted(batch, 'camera')}{each}: their frames show together and are answered in "
            f"{units.format_seconds(request.mid)} of the {units.format_seconds(1.0 / job.frame_rate)} between two."
        )
        notes.append(f"GPUs work for {share:.0%} of the time; costs count all of it, energy the passes alone.")
    elif job.concurrency is None:
        holds = "memory and the time limit hold" if limit < math.inf else "memory holds"
        notes.append(
            f"Batches of {batch}{each}: the smallest that answer within {SATURATED:.0%} of the most {word}s per "
            f"second, of those up to {MOST} that {holds}."
        )
    if request.mid <= limit < request.high:
        slow = units.format_seconds(request.high)
        notes.append(f"At the slow end of the range a batch takes {slow}, which is later than the limit.")
    if job.frame_rate is None and job.answer_seconds is not None:
        notes.append("Waiting for the pass before is not in the time of an item; a sizing of passes simulates it.")
    if job.item in (Item.PICTURE, Item.FRAME):
        notes.append("Reading, decoding and resizing of pictures, and what follows the network, are not in it.")
    if job.item is Item.DRAWING:
        notes.append("The text encoder and the decoder of the picture are not in it: a few per cent of the time.")
    return tuple(notes)


def _too_slow(job: InferenceJob, profile: Profile, table: Batches, usable: float) -> Lack:
    """Which floor the limit is below, with the figures that decide: one item's, or that of so many at a time."""
    word, limit = job.item.value, _limit(job)
    comes = f"a limit of {units.format_seconds(limit)}"
    if job.frame_rate is not None and limit == 1.0 / job.frame_rate:
        comes = f"a frame every {units.format_seconds(limit)}"
    single = table.fits & (table.items == 1)
    alone = float(np.where(single, table.seconds, np.inf).min())
    if alone > limit:
        took = f"one {word} by itself takes {units.format_seconds(alone)}"
        reach = _reach(job, profile, alone, limit, usable)
        return Lack(Bottleneck.DEADLINE, f"{comes} is below the floor: {took}{reach}")
    asked = table.fits & _is_wanted(job, table)
    place = int(np.argmin(np.where(asked, table.seconds, np.inf)))
    many = int(pick(table.items, place))
    took = units.format_seconds(pick(table.seconds, place))
    text = f"{many} {word}s at a time take {took}, longer than {comes}; one alone takes {units.format_seconds(alone)}"
    return Lack(Bottleneck.DEADLINE, text)


def _reach(job: InferenceJob, profile: Profile, alone: float, limit: float, usable: float) -> str:
    """How far the floor's range reaches down, where that is below the limit."""
    one = serve(replace(job, concurrency=job.rows, num_requests=None), profile, 1, usable)
    causes: tuple[Cause, ...] = () if isinstance(one, Lack) else one.extras["request_seconds"].causes
    low = Quantity.around(alone, "s", profile.basis, causes).low
    return "" if low > limit else f" (its range reaches down to {units.format_seconds(low)})"
