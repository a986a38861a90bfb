"""The whole look at this machine: its CPU always, fake NVIDIA cards through their driver, names never guessed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from planner.gpu import torch_devices
from planner.gpu.discovery import discover, with_gpu_key
from planner.hardware.catalogue import DRIVER, Check, load_catalogue
from planner.inventory.device import Backend
from tests.builders import seen_cpu, seen_device
from tests.gpu.conftest import CARDS


def test_this_machine_has_its_cpu_as_a_device() -> None:
    seen = discover()
    cpu = seen.devices[-1]
    assert cpu.backend is Backend.CPU
    assert cpu.uuid == f"CPU-{seen.node.machine_id}"
    assert cpu.memory_bytes == seen.node.memory_bytes > 100_000_000
    assert seen.node.num_cpus >= 1
    assert cpu.name == seen.node.cpu_name != ""
    assert (cpu.gpu_key is None) == ("gpu_key" in cpu.unknown)


def test_two_looks_see_the_same_devices() -> None:
    assert [device.uuid for device in discover().devices] == [device.uuid for device in discover().devices]


def test_nvidia_cards_stand_before_the_cpu_with_their_catalogue_key(
    fake_nvml: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LD_LIBRARY_PATH", str(fake_nvml))
    monkeypatch.setenv("FAKE_NVML_NAME", "NVIDIA Prototype 9000")
    first, second, cpu = discover().devices
    assert (first.uuid, second.uuid, cpu.backend) == (*CARDS, Backend.CPU)
    assert first.gpu_key == load_catalogue().find("NVIDIA H100 80GB HBM3") is not None
    assert second.gpu_key is None
    assert second.unknown["gpu_key"] == "the catalogue does not list 'NVIDIA Prototype 9000'"


def test_a_broken_driver_leaves_the_cpu_and_a_sentence(fake_nvml: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LD_LIBRARY_PATH", str(fake_nvml))
    monkeypatch.setenv("FAKE_NVML_RULES", "nvmlInitWithFlags:18")
    seen = discover()
    assert [device.backend for device in seen.devices] == [Backend.CPU]
    assert any("reboot, or reload the driver" in problem for problem in seen.problems)


def test_a_slice_of_a_known_card_is_not_taken_for_the_card() -> None:
    slice_of_h100 = seen_device(name="NVIDIA H100 80GB HBM3 MIG slice")
    assert with_gpu_key(slice_of_h100, load_catalogue()).gpu_key is None


def test_a_name_that_variants_share_counts_only_with_the_memory_that_the_driver_tells() -> None:
    catalogue = load_catalogue()
    shared = next(alias for alias in catalogue.aliases if alias.check is Check.MEMORY and alias.scope in ("", DRIVER))
    size = catalogue.get(shared.key).memory_bytes
    assert size is not None
    known = seen_device(name=shared.name, memory_bytes=int(size.value), gpu_key=None)
    assert with_gpu_key(known, catalogue).gpu_key == shared.key
    for memory_bytes in (None, int(size.value * 3.3)):
        device = with_gpu_key(replace(known, memory_bytes=memory_bytes), catalogue)
        assert device.gpu_key is None
        assert device.unknown["gpu_key"] == f"the catalogue does not list {shared.name!r}"


def test_a_processor_counts_only_as_a_whole_socket() -> None:
    catalogue = load_catalogue()
    whole = next(alias for alias in catalogue.aliases if alias.check is Check.UNITS)
    num_units = catalogue.get(whole.key).num_units
    cpu = seen_cpu(name=whole.name, gpu_key=None)
    assert with_gpu_key(cpu, catalogue, num_units).gpu_key == whole.key
    assert with_gpu_key(cpu, catalogue, 2).unknown["gpu_key"].endswith("with 2 cores")
    assert with_gpu_key(cpu, catalogue, None).unknown["gpu_key"].endswith("may use a part")


def test_torch_is_asked_only_where_it_could_have_a_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch_devices, "RENDER_NODES", tmp_path)
    monkeypatch.setattr("platform.system", lambda: "Linux")
    assert not torch_devices.may_have_any()
    (tmp_path / "renderD128").touch()
    assert torch_devices.may_have_any()
    monkeypatch.setattr("platform.system", lambda: "Darwin")
    assert torch_devices.may_have_any()


def test_torch_answers_from_its_own_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "renderD128").touch()
    monkeypatch.setattr(torch_devices, "RENDER_NODES", tmp_path)
    look = torch_devices.ask("machine")
    assert look.problems == ()
    assert all(device.backend in (Backend.XPU, Backend.MPS) for device in look.devices)


def test_torch_that_does_not_answer_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "renderD128").touch()
    monkeypatch.setattr(torch_devices, "RENDER_NODES", tmp_path)
    look = torch_devices.ask("machine", deadline_seconds=0.01)
    assert look.problems == ("torch did not name its devices within 0.01 s",)


@pytest.mark.fault(55)
def test_cards_that_change_their_numbers_or_go_away_keep_their_identity(
    fake_nvml: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LD_LIBRARY_PATH", str(fake_nvml))
    monkeypatch.setenv("FAKE_NVML_VALUES", "swap=1")
    swapped = [(device.uuid, device.index) for device in discover().devices if device.backend is Backend.CUDA]
    assert swapped == [(CARDS[1], 0), (CARDS[0], 1)]
    monkeypatch.setenv("FAKE_NVML_VALUES", "nvmlDeviceGetCount_v2=1")
    left = [device.uuid for device in discover().devices if device.backend is Backend.CUDA]
    assert left == [CARDS[0]]


@pytest.mark.fault(56)
def test_another_card_in_the_same_slot_is_another_device(fake_nvml: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LD_LIBRARY_PATH", str(fake_nvml))
    monkeypatch.setenv("FAKE_NVML_UUID", "GPU-99999999-2222-3333-4444-000000000009")
    before_and_now = [CARDS[1], next(device.uuid for device in discover().devices if device.index == 1)]
    assert before_and_now == [CARDS[1], "GPU-99999999-2222-3333-4444-000000000009"]
