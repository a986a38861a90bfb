"""What can be asked of a replay: a cluster, a policy, and what more nodes would have done."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from planner.plans.replay.queues import Policy
from planner.services.requests.base import Money, Request, whole


class ReplayRequest(Request):
    """A cluster for a trace of jobs. `cluster` takes only the jobs of that name; `price` is of a GPU-hour."""

    nodes: Annotated[int, *whole(1, 100_000)]
    gpus_per_node: Annotated[int, *whole(1, 1024)] = 8
    policy: Policy = Policy.FIFO
    more_nodes: Annotated[int, *whole(0, 100_000)] = 0
    price: Money | None = None
    cluster: Annotated[str, Field(max_length=200)] = ""
    starts: bool = False
