"""Replicas over the hours of a day or a week as a picture: what each hour needs, and what is on all the time."""

from __future__ import annotations

from planner.estimates.load.hours import Hours
from planner.web.charts import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, Chart, Line, Tick

DAY = 24
NUM_TICKS = 4


def hours_chart(hours: Hours, replicas: int) -> Chart:
    """Steps of what each hour needs, below a level line of the replicas that stand ready."""
    number = len(hours.hours)
    x = [round(LEFT + (WIDTH - LEFT - RIGHT) * place / number, 2) for place in range(number + 1)]
    levels = sorted({round(replicas * part / NUM_TICKS) for part in range(NUM_TICKS + 1)})

    def y(value: float) -> float:
        return round(HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * value / (replicas * 1.1), 2)

    steps = " ".join(
        f"{x[place]:g},{y(hour.replicas):g} {x[place + 1]:g},{y(hour.replicas):g}"
        for place, hour in enumerate(hours.hours)
    )
    ready = y(replicas)
    every = 6 if number == DAY else DAY
    last = hours.hours[-1].replicas
    return Chart(
        x_ticks=tuple(Tick(x[place], _moment(place, number)) for place in range(0, number + 1, every)),
        y_ticks=tuple(Tick(y(value), str(value)) for value in levels),
        x_title="hour of the day" if number == DAY else "day of the week",
        y_title="replicas, the spare ones left out",
        lines=(
            Line(f"{x[0]:g},{ready:g} {x[-1]:g},{ready:g}", "on", ready, "rent-1"),
            Line(steps, "need", min(y(last), y(0)) if last != replicas else ready + 14, "own"),
        ),
        marks=(),
    )


def _moment(place: int, number: int) -> str:
    if number == DAY:
        return f"{place}:00"
    return ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun", "")[place // DAY]
