"""What a sized service costs and draws at its real duty: per million tokens, per thousand requests, against an API."""

from __future__ import annotations

from dataclasses import dataclass

from planner import units
from planner.estimates.load.demand import Demand
from planner.estimates.load.sizing import Sized
from planner.quantity import Quantity

MILLION = 1e6


@dataclass(frozen=True, slots=True)
class ServiceBill:
    """Unit costs in the way's currency; None where the price, or the draw, is not known.

    All GPUs are paid every hour, and so are the idle and the spare ones; requests come at the mean rate.
    """

    cost_per_million_tokens: float | None  # in and out together
    cost_per_million_output_tokens: float | None  # all cost laid on the output
    cost_per_thousand_requests: float | None
    watts: Quantity | None  # of all serving GPUs while they step
    joules_per_output_token: Quantity | None  # of the time in which they step
    used_share: float  # of what the paid GPUs could serve with no level


def bill(option: Sized, demand: Demand, watts_per_replica: Quantity | None) -> ServiceBill:
    """The bill of one option. Energy counts the steps alone: what an idle GPU draws is not known here."""
    requests_per_hour = demand.mean_rate * units.HOUR
    prompt, output = demand.sizes.mean_prompt, demand.sizes.mean_output
    cost = option.cost_per_hour
    watts = None if watts_per_replica is None else watts_per_replica.times(float(option.replicas))
    joules = None
    if watts is not None:
        # Steps take `busy_share` of the time at the busiest; at less load they take less of it in proportion.
        per_token = option.busy_share / (demand.rate * output)
        joules = watts.times(per_token, "J/token")
    return ServiceBill(
        cost_per_million_tokens=None if cost is None else cost * MILLION / (requests_per_hour * (prompt + output)),
        cost_per_million_output_tokens=None if cost is None else cost * MILLION / (requests_per_hour * output),
        cost_per_thousand_requests=None if cost is None else cost * 1e3 / requests_per_hour,
        watts=watts,
        joules_per_output_token=joules,
        used_share=demand.mean_rate / ((option.replicas + option.spare) * option.most_per_second),
    )


@dataclass(frozen=True, slots=True)
class AgainstApi:
    """The same requests bought per token. `break_even_per_second`: the mean rate from which these GPUs are cheaper
    (None: at no rate that they are sized for)."""

    api_per_hour: float
    own_per_hour: float
    api_per_request: float
    break_even_per_second: float | None


def against_api(option: Sized, demand: Demand, input_price: float, output_price: float) -> AgainstApi | None:
    """Self-hosting against an API at these prices per million tokens; None where the GPUs' price is not known."""
    if option.cost_per_hour is None:
        return None
    per_request = (demand.sizes.mean_prompt * input_price + demand.sizes.mean_output * output_price) / MILLION
    even = option.cost_per_hour / (per_request * units.HOUR)
    return AgainstApi(
        api_per_hour=per_request * demand.mean_rate * units.HOUR,
        own_per_hour=option.cost_per_hour,
        api_per_request=per_request,
        break_even_per_second=even if even <= demand.rate else None,
    )
