"""Readings of an Intel GPU from the kernel's files (xe and i915 put them under hwmon): no tool, no rights needed."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from planner.gpu.events import Reading

ROOT = Path("/")
PCI_VENDOR = "0x8086"


class IntelReader:
    """Energy, power, temperature and clock of the one Intel GPU here; `absent` says why a field is not told.

    Torch's number of an xpu names no PCI address, so with several cards nobody can say which is meant.
    """

    def __init__(self, root: Path = ROOT) -> None:
        cards = [card for card in sorted(root.glob("sys/class/drm/card[0-9]*")) if _is_intel(card)]
        self._card = cards[0] if len(cards) == 1 else None
        hwmons = sorted(self._card.glob("device/hwmon/hwmon*")) if self._card is not None else []
        self._hwmon = hwmons[0] if hwmons else None
        self._energy_at_start: float | None = None
        self._last: tuple[float, float] | None = None
        why = "no Intel card is shown" if not cards else f"{len(cards)} Intel cards: which is meant cannot be told"
        reason = "the driver shows no such file" if self._card is not None else why
        self._reason = reason
        self.absent: dict[str, str] = dict.fromkeys(
            ("memory_clock_hz", "utilization", "memory_used_bytes", "throttle_reasons"), "not told by these files"
        )

    def read(self, seconds_in: float) -> Reading:
        """One look; power is that of the time since the look before."""
        energy = self._told("energy_joules", self._hwmon, "energy1_input", 1e-6)
        power = None
        if energy is not None:
            if self._energy_at_start is None:
                self._energy_at_start = energy
            if self._last is not None and seconds_in > self._last[0]:
                power = (energy - self._last[1]) / (seconds_in - self._last[0])
            self._last = (seconds_in, energy)
            energy -= self._energy_at_start
        else:
            self.absent["power_watts"] = self.absent["energy_joules"]
        return Reading(
            seconds_in=seconds_in,
            power_watts=power,
            energy_joules=energy,
            temperature_celsius=self._told("temperature_celsius", self._hwmon, "temp1_input", 1e-3),
            clock_hz=self._clock(),
        )

    def incidents(self) -> list[tuple[str, int | None, str]]:
        """These files tell of none."""
        return []

    def close(self) -> None:
        """Nothing is held open."""

    def _clock(self) -> float | None:
        """xe keeps it by tile, i915 on the card."""
        for name in ("device/tile0/gt0/freq0/act_freq", "gt/gt0/rps_act_freq_mhz", "gt_act_freq_mhz"):
            found = _number(self._card / name) if self._card is not None else None
            if found is not None:
                return found * 1e6
        self.absent["clock_hz"] = self._reason
        return None

    def _told(self, field: str, folder: Path | None, name: str, unit: float) -> float | None:
        found = _number(folder / name) if folder is not None else None
        if found is None:
            self.absent[field] = self._reason
            return None
        return found * unit


def _is_intel(card: Path) -> bool:
    """A card, and none of its connectors (card0-HDMI-A-1)."""
    with suppress(OSError):
        return "-" not in card.name and (card / "device/vendor").read_text().strip() == PCI_VENDOR
    return False


def _number(path: Path) -> float | None:
    with suppress(OSError, ValueError):
        return float(path.read_text().strip())
    return None
