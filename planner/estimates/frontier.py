"""The options that nothing else beats in both time and cost."""

from __future__ import annotations

from collections.abc import Sequence

from planner.estimates.estimate import Option


def frontier(options: Sequence[Option]) -> tuple[int, ...]:
    """Positions of the options for which no other is at least as fast and at least as cheap, cheapest first.

    Only options with a known time and cost take part, and only those in the currency that most of them have. Of equal
    ones the first stands for all.
    """
    known = [
        (option.cost.mid, option.seconds.mid, place)
        for place, option in enumerate(options)
        if option.cost is not None and option.seconds is not None
    ]
    if not known:
        return ()
    currencies = [options[place].placement.currency for _, _, place in known]
    common = max(sorted(set(currencies)), key=currencies.count)
    best, found = float("inf"), []
    for _, seconds, place in sorted(item for item in known if options[item[2]].placement.currency == common):
        if seconds < best:
            best = seconds
            found.append(place)
    return tuple(found)
