"""This machine as a node, and its processors as one device: identity, name, memory and readings."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import UUID

import psutil

from planner.gpu.events import Reading
from planner.hardware.gpu import Vendor
from planner.inventory.device import Backend, SeenDevice, SeenNode

ROOT = Path("/")
_APPLICATION = b"gpu-planner device identity"  # machine-id(5): never show the id itself, show a keyed hash of it
_VENDORS = {"GenuineIntel": Vendor.INTEL, "AuthenticAMD": Vendor.AMD, "Apple": Vendor.APPLE}
_NO_LIMIT = 1 << 60  # cgroup v1 says "no limit" with a number near 2^63
_MAX_CLOCKS_READ = 8  # clocks of so many processors are read; reading hundreds costs milliseconds


def look_at_node(root: Path = ROOT) -> SeenNode:
    """This host. `root` is where the system's files lie."""
    return SeenNode(
        machine_id=str(_machine_uuid(root)),
        boot_id=_text(root / "proc/sys/kernel/random/boot_id") or f"since {int(psutil.boot_time())}",
        hostname=socket.gethostname(),
        os_name=_os_name(root),
        cpu_name=cpu_name(root),
        num_cpus=usable_cpus(root),
        memory_bytes=memory_limit_bytes(root),
    )


def look_at_cpu(root: Path = ROOT) -> SeenDevice:
    """The processors of this host as one device. The catalogue key is left to the caller."""
    return SeenDevice(
        uuid=f"CPU-{_machine_uuid(root)}",
        backend=Backend.CPU,
        index=0,
        name=cpu_name(root),
        gpu_key=None,
        vendor=_cpu_vendor(root),
        memory_bytes=memory_limit_bytes(root),
        power_limit_watts=_power_limit_watts(root),
        compute_capability=None,
        driver_version=platform.release(),
        unknown={
            "compute_capability": "a CPU has none",
            **({} if _power_limit_watts(root) else {"power_limit_watts": "no readable RAPL limit on this machine"}),
        },
    )


def cpu_name(root: Path = ROOT) -> str:
    """The processor's name as the system tells it; blanks made single."""
    fields = _cpuinfo(root)
    name = fields.get("model name") or fields.get("Processor") or fields.get("cpu model") or platform.processor()
    return " ".join(name.split()) or f"unnamed {platform.machine()} processor"


def usable_cpus(root: Path = ROOT) -> int:
    """Processors that this process may use: its affinity, cut by the control group's quota, at least 1."""
    try:
        count = len(os.sched_getaffinity(0))
    except AttributeError:
        count = os.cpu_count() or 1
    quota = _cpu_quota(root)
    return count if quota is None else max(1, min(count, int(quota)))


def waited_seconds(root: Path = ROOT) -> float | None:
    """Seconds that this process's threads stood ready while other programs had the processors, summed over the threads
    that live; None where the kernel does not tell (proc/<pid>/schedstat: its second figure, in nanoseconds)."""
    waited, is_told = 0, False
    for path in root.glob("proc/self/task/*/schedstat"):
        fields = _text(path).split()  # empty where the thread has ended meanwhile
        if len(fields) > 1 and fields[1].isdigit():
            waited, is_told = waited + int(fields[1]), True
    return waited / 1e9 if is_told else None


def whole_cores(root: Path = ROOT) -> int | None:
    """Physical cores of this machine, None where this process may use only some of its processors."""
    if usable_cpus(root) != os.cpu_count():
        return None
    return psutil.cpu_count(logical=False)


def memory_limit_bytes(root: Path = ROOT) -> int:
    """Bytes of memory, cut by the limits of this process's control groups."""
    limits = [psutil.virtual_memory().total]
    for folder in cgroup_folders(root, "memory"):
        for name in ("memory.max", "memory.limit_in_bytes"):
            text = _text(folder / name)
            if text.isdigit() and 0 < int(text) < _NO_LIMIT:
                limits.append(int(text))
    return min(limits)


class CpuReader:
    """Readings of this host's processors. `absent` says why a field is not told."""

    def __init__(self, root: Path = ROOT) -> None:
        self._rapl = _rapl_packages(root)
        self._clocks = sorted(root.glob("sys/devices/system/cpu/cpufreq/policy*/scaling_cur_freq"))[:_MAX_CLOCKS_READ]
        self._energy = 0.0
        self._counters = self._read_rapl()
        self._read_at: float | None = None
        self._times: Any = None
        self.absent: dict[str, str] = {
            "memory_clock_hz": "not told by the system",
            "throttle_reasons": "not told by the system",
        }

    def read(self, seconds_in: float) -> Reading:
        """One look at the processors: utilisation since the look before, energy where RAPL can be read."""
        energy, power = self._energy_since_start(seconds_in)
        memory = psutil.virtual_memory()
        return Reading(
            seconds_in=seconds_in,
            power_watts=power,
            energy_joules=energy,
            temperature_celsius=self._temperature(),
            clock_hz=self._clock(),
            utilization=self._busy_share(),
            memory_used_bytes=memory.total - memory.available,
        )

    def incidents(self) -> list[tuple[str, int | None, str]]:
        """The system tells of none."""
        return []

    def close(self) -> None:
        """Nothing is held open."""

    def _busy_share(self) -> float | None:
        """The busy share of all processors since the reading before; the first reading has none to count from."""
        before, self._times = self._times, psutil.cpu_times()
        if before is None:
            return None
        idle, total = (_seconds(self._times, kind) - _seconds(before, kind) for kind in ("idle", "all"))
        return None if total <= 0 else min(1.0, max(0.0, 1.0 - idle / total))

    def _energy_since_start(self, seconds_in: float) -> tuple[float | None, float | None]:
        if not self._rapl:
            self.absent["energy_joules"] = self.absent["power_watts"] = "RAPL counters are missing or not readable"
            return None, None
        counters = self._read_rapl()
        joules = sum(
            _counter_step(old, new, top)
            for old, new, (_, top) in zip(self._counters, counters, self._rapl, strict=True)
        )
        self._counters = counters
        self._energy += joules
        before, self._read_at = self._read_at, seconds_in
        power = None if before is None or seconds_in <= before else joules / (seconds_in - before)
        return self._energy, power

    def _read_rapl(self) -> list[int]:
        return [int(_text(counter)) for counter, _ in self._rapl]

    def _clock(self) -> float | None:
        kilohertz = [int(text) for path in self._clocks if (text := _text(path)).isdigit()]
        if not kilohertz:
            self.absent["clock_hz"] = "the system does not tell the present clock"
            return None
        return 1000.0 * sum(kilohertz) / len(kilohertz)

    def _temperature(self) -> float | None:
        sensors: dict[str, list[Any]] = getattr(psutil, "sensors_temperatures", dict)()
        readings = [entry.current for name in ("coretemp", "k10temp", "zenpower") for entry in sensors.get(name, ())]
        if not readings:
            self.absent["temperature_celsius"] = "no processor sensor is readable"
            return None
        return float(max(readings))


def _seconds(times: Any, kind: str) -> float:
    """Processor seconds spent idle (waiting for a disk among it), or in all states but the guests', counted twice."""
    if kind == "idle":
        return float(times.idle + getattr(times, "iowait", 0.0))
    return float(sum(times) - getattr(times, "guest", 0.0) - getattr(times, "guest_nice", 0.0))


def _counter_step(old: int, new: int, top: int) -> float:
    """Joules between two readings of a microjoule counter that starts again after `top`."""
    return (new - old if new >= old else new + top - old) / 1e6


def _rapl_packages(root: Path) -> list[tuple[Path, int]]:
    """The energy counters of the packages that can be read, each with the value after which it starts again."""
    packages = []
    for folder in sorted(root.glob("sys/class/powercap/intel-rapl:*")):
        counter, top = folder / "energy_uj", _text(folder / "max_energy_range_uj")
        if folder.name.count(":") == 1 and _text(counter).isdigit() and top.isdigit():
            packages.append((counter, int(top)))
    return packages


def _power_limit_watts(root: Path) -> float | None:
    """The long-term package limits that RAPL enforces, added up."""
    texts = [
        _text(folder / "constraint_0_power_limit_uw")
        for folder in sorted(root.glob("sys/class/powercap/intel-rapl:*"))
        if folder.name.count(":") == 1
    ]
    watts = [int(text) / 1e6 for text in texts if text.isdigit() and int(text) > 0]
    return sum(watts) if watts and len(watts) == len(texts) else None


def _machine_uuid(root: Path) -> UUID:
    """A UUID that stays the same for this machine: a keyed hash of the machine id.

    Where there is none (many containers), of the mainboard's id where it can be read, else of the host name, processor
    and network addresses: that stays the same for a container that is kept, not for one made anew.
    """
    seed = (
        _text(root / "etc/machine-id")
        or _text(root / "var/lib/dbus/machine-id")
        or _text(root / "sys/class/dmi/id/product_uuid")
    )
    if not seed or seed == "uninitialized":
        addresses = sorted(text for path in root.glob("sys/class/net/*/address") if (text := _text(path)).strip("0:"))
        seed = "|".join([socket.gethostname(), cpu_name(root), *addresses])
    return UUID(bytes=hashlib.blake2b(seed.encode(), key=_APPLICATION, digest_size=16).digest(), version=4)


def _cpu_vendor(root: Path) -> str:
    told = _cpuinfo(root).get("vendor_id", "")
    if platform.system() == "Darwin":
        told = "Apple" if platform.machine() == "arm64" else "GenuineIntel"
    return _VENDORS.get(told, Vendor.OTHER).value


def _cpuinfo(root: Path) -> dict[str, str]:
    """The first processor's fields of /proc/cpuinfo."""
    fields: dict[str, str] = {}
    for line in _text(root / "proc/cpuinfo").split("\n\n", 1)[0].splitlines():
        name, _, value = line.partition(":")
        fields[name.strip()] = value.strip()
    return fields


def _os_name(root: Path) -> str:
    match = re.search(r'^PRETTY_NAME="?([^"\n]+)"?$', _text(root / "etc/os-release"), re.MULTILINE)
    system = f"{platform.system()} {platform.release()}"
    return f"{match[1]} ({system})" if match else system


def _cpu_quota(root: Path) -> float | None:
    """Processors that the control groups grant, None without a limit."""
    quotas = []
    for folder in cgroup_folders(root, "cpu"):
        parts = _text(folder / "cpu.max").split()
        if len(parts) != 2:
            parts = [_text(folder / "cpu.cfs_quota_us"), _text(folder / "cpu.cfs_period_us")]
        if all(part.isdigit() for part in parts) and int(parts[1]) > 0:
            quotas.append(int(parts[0]) / int(parts[1]))
    return min(quotas, default=None)


def cgroup_folders(root: Path, controller: str) -> Iterator[Path]:
    """This process's control group and all above it, for version 2 and for version 1 of that controller."""
    mount = root / "sys/fs/cgroup"
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        if controllers and controller not in controllers.split(","):
            continue
        base = mount / controller if controllers else mount
        folder = base / path.lstrip("/")
        while base == folder or base in folder.parents:
            yield folder
            if folder == base:
                break
            folder = folder.parent


def _text(path: Path) -> str:
    """The file's text without the blanks around it, empty where it is missing or closed to us."""
    with suppress(OSError, UnicodeDecodeError):
        return path.read_text().strip()
    return ""
