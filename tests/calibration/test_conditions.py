"""What sets two runs apart, and how conditions are stored."""

from __future__ import annotations

from typing import Any

import pytest

from planner.calibration.conditions import DeviceConditions, DeviceProcess, what_differs
from planner.calibration.verdict import Trust, judge, why_not_to_start

QUIET = DeviceConditions(
    driver_version="580.65.06",
    cuda_driver="13.0",
    compute_mode="default",
    has_ecc=True,
    has_mig=False,
    has_mig_pending=False,
    power_limit_watts=700.0,
    power_default_watts=700.0,
    memory_total_bytes=85_520_809_984,
    memory_used_bytes=400_000_000,
    processes=(),
)


def stored(**changes: Any) -> dict[str, Any]:
    document = QUIET.to_document() | changes
    return {"torch": "2.13.0", "cuda": "13.0", "device_before": document}


def test_conditions_survive_their_way_to_the_store_and_back() -> None:
    held = DeviceConditions(processes=(DeviceProcess(7, "compute", None),), absent={"vbios": "no permission"})
    assert DeviceConditions.from_document(held.to_document()) == held
    assert DeviceConditions.from_document({"vbios": "96", "a_later_field": 1}) == DeviceConditions(vbios="96")


@pytest.mark.fault(72)
def test_another_memory_size_is_another_set_of_conditions() -> None:
    toggled = stored(memory_total_bytes=80_000_000_000, has_ecc=False)
    assert what_differs(stored(), toggled) == {
        "memory_total_bytes": (85_520_809_984, 80_000_000_000),
        "has_ecc": (True, False),
    }


@pytest.mark.fault(41)
@pytest.mark.fault(62)
def test_another_driver_software_or_rule_for_clocks_sets_runs_apart() -> None:
    other = stored(driver_version="590.10", has_locked_clocks=True) | {"torch": "2.14.0"}
    assert what_differs(stored(has_locked_clocks=False), other) == {
        "torch": ("2.13.0", "2.14.0"),
        "driver_version": ("580.65.06", "590.10"),
        "has_locked_clocks": (False, True),
    }


def test_what_one_run_does_not_know_says_nothing() -> None:
    assert what_differs({"torch": "2.13.0"}, stored()) == {}


def test_a_quiet_card_may_be_measured_and_unknown_fields_keep_nobody_away() -> None:
    assert why_not_to_start(QUIET, is_slice=False) is None
    assert why_not_to_start(DeviceConditions(), is_slice=False) is None


def test_a_power_limit_changed_in_mid_run_makes_it_suspect() -> None:
    after = DeviceConditions.from_document(QUIET.to_document() | {"power_limit_watts": 500.0})
    verdict = judge(QUIET, after, [], [], is_clean=True)
    assert (verdict.trust, verdict.reasons) == (Trust.SUSPECT, ("the power limit went from 700 to 500 W",))


def test_a_lowered_power_limit_is_a_remark() -> None:
    lowered = DeviceConditions.from_document(QUIET.to_document() | {"power_limit_watts": 500.0})
    verdict = judge(lowered, lowered, [], [], is_clean=True)
    assert verdict.trust is Trust.OK
    assert verdict.flags == ("the power limit is 500 W, 700 W as sold: this holds for that limit",)


def test_sentinels_that_differ_make_a_run_suspect_and_a_shared_device_remarked() -> None:
    def trust(drift: float, *, is_shared: bool) -> tuple[Trust, int]:
        verdict = judge(QUIET, QUIET, [], [], is_clean=True, run_drift=drift, is_shared=is_shared)
        return verdict.trust, len(verdict.flags)

    assert trust(0.02, is_shared=False) == (Trust.OK, 0)
    assert trust(0.05, is_shared=False) == (Trust.OK, 1)
    assert trust(0.12, is_shared=False) == (Trust.SUSPECT, 0)
    assert trust(0.12, is_shared=True) == (Trust.OK, 1)
