"""The order in which benches are visited: all of them twice, then what lies apart, whole passes before their parts."""

from __future__ import annotations

from itertools import count
from typing import Any

import pytest

from planner.calibration.sample import Operation
from planner.calibration.suites import get_suite
from planner.calibration.visits import MOST_VISITS, Visit
from planner.gpu import child
from planner.gpu.benches.accelerator import Accelerator
from planner.inventory.device import Backend


def test_whole_passes_are_visited_again_before_their_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    benches = get_suite("smoke").benches_for(Backend.CPU, 4_000_000_000)
    longer = count()
    monkeypatch.setattr(child, "visit", lambda *_: Visit((1.2 ** next(longer),), True))
    begun: list[int] = []

    def tell(event: str, **rest: Any) -> None:
        if event == "bench":
            begun.append(rest["position"])

    child._Rounds(benches, Accelerator(Backend.CPU, seed=1), tell).go(patience=60.0)
    size = len(benches)
    rounds = [begun[start : start + size] for start in range(0, len(begun), size)]
    assert len(rounds) == MOST_VISITS
    assert rounds[0] == rounds[1] == list(range(size))
    passes = (Operation.TRAIN_STEP, Operation.PREFILL, Operation.DECODE)
    for later in rounds[2:]:
        assert [benches[place].operation in passes for place in later] == [True] * 3 + [False] * 3
