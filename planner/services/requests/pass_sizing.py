"""What can be asked of a sizing of single passes: a network, the items or cameras, their deadline, and where to run."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, model_validator

from planner.errors import InvalidInput
from planner.estimates.load.items import Frames, Items, RandomItems
from planner.estimates.load.latencies import PERCENTILES
from planner.estimates.load.pass_networks import PassNetwork, is_drawing, is_text, named_networks, pass_network
from planner.estimates.load.pass_sizing import Batching, Deadline
from planner.hardware.gpu import Dtype
from planner.jobs.engine import Engine
from planner.jobs.job import InferenceJob
from planner.offers.offer import OfferKind
from planner.services.requests.base import Key, Keys, Moment, Request, count, duration, field_problem, whole
from planner.services.requests.estimate import EstimateRequest


class PassSizingRequest(Request):
    """Ask how many GPUs answer items that each take a single pass within a deadline.

    `network` names a network for pictures, objects or drawings, or an architecture that embeds texts. Items come at
    random, `rate` a second with gaps of `variation` (1: Poisson); or as frames of `cameras` at `frame_rate` each,
    spread over time or all at one moment, up to `jitter` late. `deadline` counts from arrival, of frames from the
    moment that they show; `percentile` percent keep it. `passes` is how many networks of this size run on each item.
    """

    network: Key
    image_size: Annotated[int, *whole(32, 16_384)] | None = None
    tokens: Annotated[int, *whole(1, 1_000_000)] | None = None
    steps: Annotated[int, *whole(1, 1_000)] | None = None
    passes: Annotated[int, *whole(1, 100)] = 1
    dtype: Dtype = Dtype.FP16
    engine: Engine = Engine.TENSORRT

    rate: Annotated[float, *count(1e-6, 1e7)] | None = None
    variation: Annotated[float, *count(0, 50)] = 1.0
    cameras: Annotated[int, *whole(1, 100_000)] | None = None
    frame_rate: Annotated[float, *count(1e-3, 10_000)] | None = None
    spread: bool = False
    jitter: Annotated[float, *duration(0, 10)] = 0.0
    duty: Annotated[float, *count(1e-3, 1)] = 1.0

    deadline: Annotated[float, *duration(1e-5, 1e6)] | None = None
    percentile: Annotated[int, *whole(50, 99)] = 99
    spare: Annotated[int, *whole(0, 1_000)] = 0
    headroom: Annotated[float, *count(0, 0.95)] = 0.0
    batch: Annotated[int, *whole(1, 256)] | None = None
    wait: Annotated[float, *duration(0, 60)] = 0.0

    gpus: Keys = ()
    providers: Keys = ()
    regions: Keys = ()
    offer_kinds: Annotated[tuple[OfferKind, ...], Field(max_length=10)] = ()
    currency: Annotated[str, Field(pattern="^[A-Z]{3}$")] = "USD"
    as_of: Moment | None = None

    @model_validator(mode="after")
    def _whole_question(self) -> PassSizingRequest:
        if self.percentile not in PERCENTILES:
            raise field_problem("percentile", "must be 50, 95 or 99")
        if (self.cameras is None) != (self.frame_rate is None):
            raise field_problem("frame_rate", "cameras and the frames that each gives a second go together")
        if (self.cameras is None) == (self.rate is None):
            raise field_problem("rate", "give the items a second, or cameras with their frame rate")
        if self.cameras is None and (self.spread or self.jitter):
            raise field_problem("jitter" if self.jitter else "spread", "belongs to the frames of cameras")
        if self.cameras is not None and self.variation != 1.0:
            raise field_problem("variation", "does not go with cameras, whose frames come evenly")
        if self.tokens is not None and not is_text(self.network):
            raise field_problem("tokens", "belongs to networks that embed texts")
        if self.image_size is not None and is_text(self.network):
            raise field_problem("image_size", "belongs to networks for pictures")
        if self.steps is not None and not is_drawing(self.network):
            raise field_problem("steps", "belongs to networks that draw")
        return self

    def found_network(self) -> PassNetwork:
        """The network. Raises InvalidInput for a name that is not known, or texts longer than it reads."""
        try:
            found = pass_network(self.network, self.image_size, self.tokens, self.steps)
        except ValueError as error:
            raise InvalidInput.of("image_size", str(error)) from None
        if found is None:
            known = ", ".join(key for key, _ in named_networks())
            raise InvalidInput.of("network", f"{self.network!r} is not known; give one of {known}")
        most = found.network.max_positions
        if most is not None and found.positions > most:
            raise InvalidInput.of("tokens", f"{found.positions:,} tokens are more than the {most:,} that it reads")
        return found

    def job(self, network: PassNetwork) -> InferenceJob:
        """One batch of it as a job."""
        return InferenceJob(
            name=f"Answer with {network.name}",
            architecture=network.network,
            prompt_tokens=network.positions,
            output_tokens=0,
            concurrency=1,
            dtype=self.dtype,
            engine=self.engine,
            tensor_parallel=1,
        )

    def items(self) -> Items:
        """What comes, and when."""
        if self.cameras is not None and self.frame_rate is not None:
            return Frames(self.cameras, self.frame_rate, self.spread, self.jitter, self.duty)
        return RandomItems(self.rate or 1.0, self.variation, self.duty)

    def random_items(self, rate: float) -> RandomItems:
        """Items at another rate, as bursty as asked; of cameras Poisson."""
        return RandomItems(rate, self.variation)

    @property
    def kind(self) -> str:
        """What an item of the network is: "text", "drawing" or "picture"."""
        if is_text(self.network):
            return "text"
        return "drawing" if is_drawing(self.network) else "picture"

    def limits(self) -> Deadline:
        """The deadline, the spare GPUs and the head-room."""
        return Deadline(self.deadline, self.percentile, self.spare, self.headroom)

    def batching(self) -> Batching:
        """How items share a pass."""
        return Batching(self.batch, self.wait)

    def filters(self) -> EstimateRequest:
        """The same filters on devices and offers as a question for the estimator."""
        given: dict[str, Any] = {
            name: getattr(self, name) for name in ("gpus", "providers", "regions", "offer_kinds", "as_of")
        }
        return EstimateRequest(kind="inference", dtype=self.dtype, **given)
