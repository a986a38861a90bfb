"""A recorded device: readings of a run that was kept, given again in their order, for tests and for looking at."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from itertools import cycle
from pathlib import Path

from planner.gpu.events import Reading

_FIELDS = {field.name for field in fields(Reading)}


class ReplayReader:
    """The readings of a recording (JSON lines of kind "reading"), from the start again after the last."""

    def __init__(self, path: Path) -> None:
        lines = (json.loads(line) for line in path.read_text().splitlines())
        readings = [
            Reading(**{name: value for name, value in line.items() if name in _FIELDS})
            for line in lines
            if line.get("kind") == "reading"
        ]
        if not readings:
            raise ValueError(f"{path} holds no readings")
        self._readings = cycle(readings)
        silent = [name for name in _FIELDS if all(getattr(reading, name) is None for reading in readings)]
        self.absent = dict.fromkeys(sorted(silent), "not in the recording")

    def read(self, seconds_in: float) -> Reading:
        """The next reading, at this time."""
        return replace(next(self._readings), seconds_in=seconds_in)

    def incidents(self) -> list[tuple[str, int | None, str]]:
        """A recording holds none."""
        return []

    def close(self) -> None:
        """Nothing is held open."""
