"""The options that nothing else beats in both time and cost."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from planner.estimates.answer import answer
from planner.estimates.frontier import frontier
from tests.builders import training_job
from tests.estimates.makers import rented

AMOUNTS = st.lists(st.tuples(st.sampled_from(["1", "2", "4", "8"]), st.integers(1, 400)), min_size=1, max_size=12)


@given(AMOUNTS)
def test_nothing_beats_what_is_on_it_and_it_beats_the_rest(offers: list[tuple[str, int]]) -> None:
    placements = [rented(num_gpus=count, amount=str(amount)) for count, amount in offers]
    options = answer(training_job(global_batch=64), placements, {}).options
    places = frontier(options)
    assert places
    pairs = [(option.seconds.mid, option.cost.mid) for option in options if option.seconds and option.cost]
    assert len(pairs) == len(options)
    on = {pairs[place] for place in places}
    for pair in pairs:
        beaten = any(other != pair and other[0] <= pair[0] and other[1] <= pair[1] for other in pairs)
        assert beaten == (pair not in on)
    costs = [pairs[place][1] for place in places]
    assert costs == sorted(costs)


def test_what_has_no_price_takes_no_part() -> None:
    options = answer(training_job(), [rented(amount=None)], {}).options
    assert len(options) == 1
    assert frontier(options) == ()
