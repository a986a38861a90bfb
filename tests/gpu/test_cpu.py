"""The CPU as a device, read from system files laid out in a folder: names, limits, identity, RAPL."""

from __future__ import annotations

import os
from pathlib import Path

import psutil
import pytest

from planner.gpu import cpu
from planner.gpu.benches.accelerator import cpu_cache_bytes
from planner.inventory.device import Backend

CPUINFO = (
    "processor\t: 0\nvendor_id\t: GenuineIntel\nmodel name\t: Intel(R)  Xeon(R) Platinum 8480C \n\nprocessor\t: 1\n"
)


def lay(root: Path, files: dict[str, str]) -> Path:
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    return root


def test_the_name_is_that_of_the_first_processor_with_single_blanks(tmp_path: Path) -> None:
    root = lay(tmp_path, {"proc/cpuinfo": CPUINFO, "etc/machine-id": "a" * 32})
    device = cpu.look_at_cpu(root)
    assert (device.name, device.vendor, device.backend) == ("Intel(R) Xeon(R) Platinum 8480C", "Intel", Backend.CPU)


def test_a_nameless_processor_is_said_to_be_nameless(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.processor", lambda: "")
    assert cpu.cpu_name(tmp_path).startswith("unnamed ")


def test_the_identity_is_stable_differs_by_machine_and_hides_the_machine_id(tmp_path: Path) -> None:
    one = lay(tmp_path / "one", {"etc/machine-id": "0123456789abcdef0123456789abcdef\n"})
    two = lay(tmp_path / "two", {"etc/machine-id": "fedcba9876543210fedcba9876543210\n"})
    assert cpu.look_at_cpu(one).uuid == cpu.look_at_cpu(one).uuid
    assert cpu.look_at_cpu(one).uuid != cpu.look_at_cpu(two).uuid
    assert cpu.look_at_cpu(one).uuid == f"CPU-{cpu.look_at_node(one).machine_id}"
    assert "0123456789abcdef" not in cpu.look_at_cpu(one).uuid.replace("-", "")


@pytest.mark.parametrize("machine_id", [None, "", "uninitialized\n"])
def test_without_a_machine_id_the_identity_is_still_stable(tmp_path: Path, machine_id: str | None) -> None:
    files = {"proc/cpuinfo": CPUINFO, "sys/class/net/eth0/address": "02:42:ac:11:00:02\n"}
    root = lay(tmp_path, files | ({} if machine_id is None else {"etc/machine-id": machine_id}))
    first = cpu.look_at_cpu(root).uuid
    assert first == cpu.look_at_cpu(root).uuid
    (root / "sys/class/net/eth0/address").write_text("02:42:ac:11:00:99\n")
    assert cpu.look_at_cpu(root).uuid != first


@pytest.mark.parametrize(
    "files",
    [
        {"proc/self/cgroup": "0::/jobs/one\n", "sys/fs/cgroup/jobs/memory.max": "1000000000\n"},
        {"proc/self/cgroup": "0::/jobs/one\n", "sys/fs/cgroup/jobs/one/memory.max": "1000000000\n"},
        {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "1000000000\n"},
        {
            "proc/self/cgroup": "5:cpu,cpuacct:/docker/x\n4:memory:/docker/x\n",
            "sys/fs/cgroup/memory/docker/x/memory.limit_in_bytes": "1000000000\n",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
        },
    ],
)
def test_memory_is_cut_by_every_control_group_above_us(tmp_path: Path, files: dict[str, str]) -> None:
    assert cpu.memory_limit_bytes(lay(tmp_path, files)) == 1_000_000_000


def test_memory_without_a_limit_is_the_machines(tmp_path: Path) -> None:
    root = lay(tmp_path, {"proc/self/cgroup": "0::/x\n", "sys/fs/cgroup/x/memory.max": "max\n"})
    assert cpu.memory_limit_bytes(root) == psutil.virtual_memory().total


@pytest.mark.parametrize(
    ("files", "count"),
    [
        ({"proc/self/cgroup": "0::/x\n", "sys/fs/cgroup/x/cpu.max": "100000 100000\n"}, 1),
        ({"proc/self/cgroup": "0::/x\n", "sys/fs/cgroup/x/cpu.max": "20000 100000\n"}, 1),
        (
            {
                "proc/self/cgroup": "3:cpu,cpuacct:/x\n",
                "sys/fs/cgroup/cpu/x/cpu.cfs_quota_us": "100000",
                "sys/fs/cgroup/cpu/x/cpu.cfs_period_us": "100000",
            },
            1,
        ),
        ({"proc/self/cgroup": "0::/x\n", "sys/fs/cgroup/x/cpu.max": "max 100000\n"}, len(os.sched_getaffinity(0))),
    ],
)
def test_processors_are_cut_by_the_quota(tmp_path: Path, files: dict[str, str], count: int) -> None:
    assert cpu.usable_cpus(lay(tmp_path, files)) == count


def test_what_threads_waited_for_a_processor_is_summed_and_unknown_where_it_is_not_told(tmp_path: Path) -> None:
    files = {"proc/self/task/7/schedstat": "900 1500000000 3\n", "proc/self/task/8/schedstat": "900 250000000 3\n"}
    assert cpu.waited_seconds(lay(tmp_path / "told", files)) == pytest.approx(1.75)
    assert cpu.waited_seconds(lay(tmp_path / "not", {"proc/self/task/7/stat": "7\n"})) is None


def rapl(root: Path, package: int, microjoules: int, **more: str) -> None:
    folder = f"sys/class/powercap/intel-rapl:{package}"
    lay(root, {f"{folder}/energy_uj": f"{microjoules}\n", f"{folder}/max_energy_range_uj": "1000000000\n"} | more)


def test_rapl_energy_adds_the_packages_leaves_out_their_parts_and_survives_the_counters_end(tmp_path: Path) -> None:
    rapl(tmp_path, 0, 999_000_000)
    rapl(tmp_path, 1, 5_000_000)
    lay(tmp_path, {"sys/class/powercap/intel-rapl:0:0/energy_uj": "77", "sys/class/powercap/intel-rapl:0:0/x": ""})
    reader = cpu.CpuReader(tmp_path)
    first = reader.read(10.0)
    assert (first.energy_joules, first.power_watts) == (0.0, None)
    rapl(tmp_path, 0, 19_000_000)  # 1 J to the end of the counter and 19 J after it
    rapl(tmp_path, 1, 15_000_000)
    second = reader.read(12.0)
    assert second.energy_joules == pytest.approx(30.0)
    assert second.power_watts == pytest.approx(15.0)
    assert "energy_joules" not in reader.absent


def test_unreadable_rapl_is_absent_with_a_reason_and_never_zero(tmp_path: Path) -> None:
    reader = cpu.CpuReader(tmp_path)
    reading = reader.read(0.0)
    assert (reading.energy_joules, reading.power_watts, reading.clock_hz) == (None, None, None)
    assert reader.absent["power_watts"] == "RAPL counters are missing or not readable"
    assert cpu.look_at_cpu(tmp_path).power_limit_watts is None
    assert "power_limit_watts" in cpu.look_at_cpu(tmp_path).unknown


def test_the_power_limit_is_that_of_all_packages(tmp_path: Path) -> None:
    for package in (0, 1):
        lay(tmp_path, {f"sys/class/powercap/intel-rapl:{package}/constraint_0_power_limit_uw": "350000000\n"})
    assert cpu.look_at_cpu(tmp_path).power_limit_watts == 700.0


def test_the_clock_is_the_mean_over_processors(tmp_path: Path) -> None:
    for number, kilohertz in enumerate((2_000_000, 3_000_000)):
        lay(tmp_path, {f"sys/devices/system/cpu/cpufreq/policy{number}/scaling_cur_freq": f"{kilohertz}\n"})
    assert cpu.CpuReader(tmp_path).read(0.0).clock_hz == 2.5e9


def test_a_shared_cache_is_counted_once_and_apart_ones_are_added(tmp_path: Path) -> None:
    for number, sharers in enumerate(("0-1", "0-1", "2-3", "2-3")):
        for index, (level, size, who) in enumerate((("2", "1024K", str(number)), ("3", "32768K", sharers))):
            folder = f"cpu{number}/cache/index{index}"
            lay(
                tmp_path,
                {f"{folder}/level": level, f"{folder}/size": size, f"{folder}/shared_cpu_list": who},
            )
    assert cpu_cache_bytes(tmp_path) == 2 * 32 * 1024**2
    assert cpu_cache_bytes(tmp_path / "nowhere") is None
