"""Logs of step times as programs write them."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.errors import InvalidInput
from planner.estimates.step_log import read_step_log


@pytest.mark.parametrize(
    ("line", "seconds"),
    [
        (" iteration {}/ 500000 | consumed samples: 64 | elapsed time per iteration (ms): 812.5 | lr: 1e-4", 0.8125),
        ("iter {}: loss 3.1415, time 123.40ms, mfu 41.20%", 0.1234),
        ("step {} | loss 2.9 | dt: 345.00ms | tok/sec: 1234", 0.345),
        ("step {}: train loss 2.1, step time: 1.25 s", 1.25),
        ("  2%|▏  | {}/1000 [00:10<08:10,  2.00s/it]", 2.0),
        ("it {} elapsed time per iteration (ms): 1,250.5", 1.2505),
        (" 10%|█  | {}/1000 [00:10<01:30,  4.00it/s]", 0.25),
    ],
)
def test_lines_that_programs_print(line: str, seconds: float) -> None:
    log = "some words before\n" + "\n".join(line.format(number) for number in range(12))
    found = read_step_log(log)
    assert found.step_seconds == pytest.approx(seconds)
    assert (found.count, found.warm_up, found.unread) == (12, 0, 1)


@pytest.mark.parametrize(
    "line",
    [
        "Epoch 0: [{}/5004]  2450.0 images/s  loss 6.9",
        "batch {} | 2450 imgs/sec",
        "{{'train_samples_per_second': {} }} samples per second: 2450.0",
        "frame {} fps=2450",
        "Throughput at {}: 2450.00 samples/s",
        "rank {}: 2,450 images/s",
    ],
)
def test_rates_of_programs_that_print_no_step_time(line: str) -> None:
    found = read_step_log("\n".join(["warming up", *(line.format(number) for number in range(6))]))
    assert found.items_per_second == pytest.approx(2450)
    assert (found.step_seconds, found.count, found.unread) == (None, 6, 1)
    assert "2450 items/s" in found.sentence


def test_a_column_of_rates_is_read_and_a_slow_start_left_out() -> None:
    table = "step,images_per_second\n" + "".join(f"{step},{400 if step < 2 else 1000}\n" for step in range(10))
    found = read_step_log(table)
    assert (found.items_per_second, found.warm_up) == (pytest.approx(1000), 2)


def test_step_times_count_before_rates() -> None:
    found = read_step_log("step time: 0.5 s, 128 images/s\n" * 5)
    assert (found.step_seconds, found.items_per_second) == (0.5, None)


def test_csv_and_json_lines() -> None:
    times = [0.5, 0.4, 0.4, 0.41, 0.39]
    table = "step,loss,step_seconds\n" + "".join(f"{i},2.5,{value}\n" for i, value in enumerate(times))
    lines = "\n".join(json.dumps({"step": i, "step_time_ms": value * 1000}) for i, value in enumerate(times))
    assert read_step_log(table).step_seconds == pytest.approx(0.4)
    assert read_step_log(lines).step_seconds == pytest.approx(0.4)


def test_a_slow_start_is_left_out_and_said() -> None:
    found = read_step_log("step_seconds\n" + "\n".join(["30", "9", *["1.0"] * 20]))
    assert (found.warm_up, found.step_seconds) == (2, 1.0)
    assert found.sentence == "median of 20 steps, the first 2 left out as warm-up: 1 s, nine in ten within ±0 %"


def test_steps_that_grow_slower_are_no_warm_up() -> None:
    found = read_step_log("step_seconds\n" + "\n".join(str(1 + 0.1 * i) for i in range(30)))
    assert found.warm_up == 0
    assert found.spread > 0.3


@pytest.mark.parametrize("log", ["", "hello\nworld", "step_seconds\n1.0\n2.0\n", "step_seconds\n0\n-1\nnan\ninf\n"])
def test_a_log_without_steps_is_refused(log: str) -> None:
    with pytest.raises(InvalidInput, match="step times"):
        read_step_log(log)


@given(st.text(max_size=400))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        found = read_step_log(text)
    except InvalidInput:
        return
    assert found.step_seconds > 0
