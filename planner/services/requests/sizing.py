"""What can be asked of a sizing: a model, the requests that come, the level they shall meet, and where it may run."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from planner.errors import FieldProblem, InvalidInput
from planner.estimates.layout import served_layout_faults
from planner.estimates.load.arrivals import Sizes
from planner.estimates.load.demand import Demand, RandomDemand, TraceDemand
from planner.estimates.load.engine import EnginePolicy
from planner.estimates.load.latencies import PERCENTILES
from planner.estimates.load.level import ServiceLevel
from planner.estimates.load.requests import Requests
from planner.estimates.load.sizing import Terms
from planner.estimates.load.traces import read_trace
from planner.hardware.gpu import Dtype
from planner.jobs.engine import Engine
from planner.jobs.huggingface import MAX_CHARACTERS
from planner.jobs.job import InferenceJob
from planner.offers.offer import OfferKind
from planner.services.requests.base import (
    Key,
    Keys,
    Moment,
    Money,
    Name,
    Request,
    bytes_,
    count,
    duration,
    field_problem,
    whole,
)
from planner.services.requests.estimate import EstimateRequest
from planner.services.requests.networks import generating

MAX_TRACE_CHARACTERS = 64 * 2**20
HOURS_OF = (24, 168)  # a day, a week
HourShare = Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)]
PASSED_ON = (
    "name",
    "architecture",
    "config",
    "dtype",
    "kv_dtype",
    "gpus",
    "providers",
    "regions",
    "offer_kinds",
    "as_of",
)
ENGINE = {
    "max_sequences": "max_sequences",
    "batch_tokens": "batch_tokens",
    "chunked": "is_chunked",
    "tokens_per_step": "tokens_per_step",
    "speculation_cost": "speculation_cost",
    "prefix_caching": "reuses_prefixes",
    "front": "front_seconds",
}


def _listed(value: Any) -> Any:
    """A list as it is; text as figures with commas, semicolons or spaces between."""
    return [each for each in re.split(r"[\s,;]+", value) if each] if isinstance(value, str) else value


class SizingRequest(Request):
    """Ask how many GPUs serve a model's requests at a service level.

    Requests are random, of `prompt_tokens` and `output_tokens` at `rate` per second with gaps of `variation` (1:
    Poisson), or those of a `trace` (the text of Azure's CSV, Mooncake's JSONL, or columns arrival_seconds,
    prompt_tokens, output_tokens), stretched to `rate` where that is given. `duty` is the mean rate ÷ the busiest, or
    `hours` says how requests spread: 24 figures of a day or 168 of a week from Monday on, the largest standing for
    `rate`. `balancing` is how random requests reach replicas: each any of them (left out), or in turn as those of a
    trace do.
    The level: `percentile` percent of requests wait at most `first_token`, `per_token` and `end_to_end` (left out:
    any). `front` is what a request takes in the server in front of the engine (left out: as published runs of the
    engine show). API prices are per million tokens. With `apart_link`, bytes per second between replicas, the best way
    is sized with prefill and decode apart too.
    """

    name: Name | None = None
    architecture: Key | None = None
    config: Annotated[str, Field(min_length=2, max_length=MAX_CHARACTERS)] | None = None
    dtype: Dtype | None = None
    kv_dtype: Dtype | None = None
    engine: Engine = Engine.UNSTATED
    weight_bits: Annotated[float, *count(1, 16)] | None = None

    prompt_tokens: Annotated[int, *whole(1, 10_000_000)] | None = None
    output_tokens: Annotated[int, *whole(1, 10_000_000)] | None = None
    rate: Annotated[float, *count(1e-6, 1e6)] | None = None
    variation: Annotated[float, *count(0, 50)] = 1.0
    duty: Annotated[float, *count(1e-3, 1)] = 1.0
    balancing: Literal["random", "in_turn"] | None = None
    hours: Annotated[tuple[HourShare, ...], BeforeValidator(_listed)] = ()
    trace: Annotated[str, Field(min_length=1, max_length=MAX_TRACE_CHARACTERS)] | None = None

    percentile: Annotated[int, *whole(50, 99)] = 95
    first_token: Annotated[float, *duration(1e-5, 1e5)] | None = None
    per_token: Annotated[float, *duration(1e-6, 1e4)] | None = None
    end_to_end: Annotated[float, *duration(1e-5, 1e6)] | None = None
    spare: Annotated[int, *whole(0, 1_000)] = 0
    headroom: Annotated[float, *count(0, 0.95)] = 0.0

    tensor_parallel: Annotated[int, *whole(1, 1_000)] | None = None
    expert_parallel: Annotated[int, *whole(1, 1_000)] | None = None
    apart_link: Annotated[float, *bytes_(1e6, 1e14)] | None = None
    pipeline_parallel: Annotated[int, *whole(1, 100)] | None = None
    max_sequences: Annotated[int, *whole(1, 4_096)] | None = None
    batch_tokens: Annotated[int, *whole(16, 1_000_000)] | None = None
    chunked: bool | None = None
    prefix_caching: bool | None = None
    tokens_per_step: Annotated[float, *count(1, 100)] | None = None
    speculation_cost: Annotated[float, *count(1, 100)] | None = None
    front: Annotated[float, *duration(0, 60)] | None = None

    api_input_price: Money | None = None
    api_output_price: Money | None = None

    gpus: Keys = ()
    providers: Keys = ()
    regions: Keys = ()
    offer_kinds: Annotated[tuple[OfferKind, ...], Field(max_length=10)] = ()
    currency: Annotated[str, Field(pattern="^[A-Z]{3}$")] = "USD"
    as_of: Moment | None = None

    @model_validator(mode="after")
    def _whole_question(self) -> SizingRequest:
        if self.architecture is None and self.config is None:
            raise field_problem("architecture", "is needed: name one, or give a config")
        if self.percentile not in PERCENTILES:
            raise field_problem("percentile", "must be 50, 95 or 99")
        if (self.api_input_price is None) != (self.api_output_price is None):
            raise field_problem("api_output_price", "give the prices of input and of output, or neither")
        sizes = {"prompt_tokens": self.prompt_tokens, "output_tokens": self.output_tokens, "rate": self.rate}
        if self.trace is None:
            lacking = [name for name, value in sizes.items() if value is None]
            if lacking:
                raise field_problem(lacking[0], "is needed where there is no trace")
        else:
            given = [name for name in ("prompt_tokens", "output_tokens") if sizes[name] is not None]
            if given:
                raise field_problem(given[0], "does not go with a trace, which has its own sizes")
            if self.variation != 1.0:
                raise field_problem("variation", "does not go with a trace, which has its own gaps")
            if self.hours:
                raise field_problem("hours", "do not go with a trace, which has its own moments")
            if self.balancing == "random":
                raise field_problem("balancing", "of a trace is in turn; leave it out")
        if self.hours:
            if len(self.hours) not in HOURS_OF:
                raise field_problem("hours", f"must be 24 figures of a day or 168 of a week, not {len(self.hours)}")
            if max(self.hours) <= 0:
                raise field_problem("hours", "must not all be 0")
            if self.duty != 1.0:
                raise field_problem("duty", "follows from the hours; leave it out")
        return self

    @property
    def hourly_rates(self) -> tuple[float, ...]:
        """Requests per second of each hour; none where the hours were not given."""
        return tuple((self.rate or 1.0) * share / max(self.hours) for share in self.hours)

    def demand(self) -> Demand:
        """The requests that come. Raises InvalidInput for a trace that cannot be read or has no rate."""
        if self.trace is None:
            sizes = Sizes.fixed(self.prompt_tokens or 1, self.output_tokens or 1)
            rates = self.hourly_rates
            duty = math.fsum(rates) / len(rates) / max(rates) if rates else self.duty
            in_turn = self.balancing == "in_turn"
            return RandomDemand(self.rate or 1.0, sizes, self.variation, duty, in_turn=in_turn)
        found = read_trace(self.trace)
        if found.rate is None:
            raise InvalidInput.of("trace", "needs at least two requests at different moments")
        return TraceDemand(found if self.rate is None else found.scaled_to(self.rate))

    def estimate(self, demand: Demand) -> EstimateRequest:
        """The same model and the same filters as a question for the estimator, with the longest request.

        Raises InvalidInput where it is longer than the model's context.
        """
        prompt, output = _longest(demand)
        given: dict[str, Any] = {name: getattr(self, name) for name in PASSED_ON}
        return EstimateRequest(kind="inference", prompt_tokens=prompt, output_tokens=output, **given)

    def job(self, demand: Demand) -> InferenceJob:
        """The model as a job. Raises InvalidInput, by the field, for what cannot be served."""
        asked = self.estimate(demand)
        generating(asked.network(None))
        try:
            job = asked.job()
        except InvalidInput as error:
            raise InvalidInput([self._in_trace(problem) for problem in error.problems]) from None
        if not isinstance(job, InferenceJob):
            raise ValueError("an inference job was asked for")
        job = replace(
            job,
            engine=self.engine,
            weight_bits=self.weight_bits or job.weight_bits,
            pipeline_parallel=self.pipeline_parallel,
            expert_parallel=self.expert_parallel,
        )
        faults = served_layout_faults(replace(job, tensor_parallel=self.tensor_parallel))
        if faults:
            raise InvalidInput([FieldProblem(name, message) for name, message in faults])
        return job

    def _in_trace(self, problem: FieldProblem) -> FieldProblem:
        """What is wrong with the longest request, laid on the trace that it comes from."""
        if self.trace is None or problem.field not in ("prompt_tokens", "output_tokens"):
            return problem
        return FieldProblem("trace", f"its longest request does not fit the model: {problem.message}")

    def terms(self) -> Terms:
        """The level, the spare replicas and the head-room."""
        return Terms(
            ServiceLevel(self.percentile, self.first_token, self.per_token, self.end_to_end), self.spare, self.headroom
        )

    def policy(self) -> EnginePolicy:
        """How the engine batches: as asked, else the defaults."""
        given = {name: getattr(self, field) for field, name in ENGINE.items() if getattr(self, field) is not None}
        return EnginePolicy(**given)


def _longest(demand: Demand) -> tuple[int, int]:
    """Prompt and answer of the request with the most tokens."""
    requests: Requests = demand.requests if isinstance(demand, TraceDemand) else demand.sample()
    place = int((requests.prompt_tokens + requests.output_tokens).argmax())
    return int(requests.prompt_tokens[place]), int(requests.output_tokens[place])
