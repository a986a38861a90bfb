"""Devices as pages show them: recorded by discovery, with their fit, their last run and what is not known."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from planner.errors import NotFound
from planner.inventory.device import Backend, DeviceState
from planner.services.devices import get_device, list_devices, node_id_of, record_discovery
from planner.store.engine import Session
from planner.store.tables import DeviceRow
from tests.builders import NOW, discovery, seen_cpu, seen_device, seen_node
from tests.runs import finished, known_devices, queued, running

LATER = NOW + timedelta(hours=1)


def test_a_discovered_device_is_listed_as_the_driver_described_it(session: Session) -> None:
    gpu, cpu = record_discovery(session, discovery(), NOW)
    assert list_devices(session) == [gpu, cpu]
    seen = seen_device()
    assert (gpu.uuid, gpu.name, gpu.backend, gpu.gpu_key) == (seen.uuid, seen.name, Backend.CUDA, "H100-80GB-SXM")
    assert (gpu.memory_bytes, gpu.power_limit_watts) == (seen.memory_bytes, 700.0)
    assert (gpu.hostname, gpu.node_machine_id) == ("node-1", "machine-1")
    assert (gpu.state, gpu.fit_id, gpu.last_run_id) == (DeviceState.OK, None, None)
    assert (cpu.power_limit_watts, cpu.unknown) == (None, seen_cpu().unknown)


def test_discovering_the_same_again_changes_only_when_it_was_last_seen(session: Session) -> None:
    first = record_discovery(session, discovery(), NOW)
    again = record_discovery(session, discovery(), LATER)
    assert again == [replace(device, last_seen_at=LATER) for device in first]


@pytest.mark.fault(55)
def test_a_device_that_is_gone_is_missing_with_date_and_the_driver_s_words_and_comes_back_whole(
    session: Session,
) -> None:
    gpu = known_devices(session)[0]
    assert finished(session, running(session, gpu))
    gone = replace(discovery(seen_cpu()), problems=("the NVIDIA driver is not loaded",))
    record_discovery(session, gone, LATER)
    missing = get_device(session, gpu.id)
    assert (missing.state, missing.missing_since) == (DeviceState.MISSING, LATER)
    assert missing.state_reason == "not seen on its node any more; the NVIDIA driver is not loaded"
    assert missing.last_seen_at == NOW
    assert missing.fit_id is not None
    record_discovery(session, discovery(), LATER + timedelta(hours=1))
    back = get_device(session, gpu.id)
    assert (back.state, back.state_reason, back.missing_since) == (DeviceState.OK, None, None)
    assert back.fit_id == missing.fit_id


def test_a_quarantined_device_is_still_quarantined_after_discovery(session: Session) -> None:
    gpu = known_devices(session)[0]
    row = session.get_one(DeviceRow, gpu.id)
    row.state, row.state_reason = DeviceState.QUARANTINED.value, "ECC errors"
    session.flush()
    known_devices(session, now=LATER)
    found = get_device(session, gpu.id)
    assert (found.state, found.state_reason, found.last_seen_at) == (DeviceState.QUARANTINED, "ECC errors", LATER)


def test_what_a_newer_driver_does_not_tell_any_more_becomes_unknown_not_stale(session: Session) -> None:
    gpu = known_devices(session)[0]
    silent = seen_device(power_limit_watts=None, unknown={"power_limit_watts": "not supported"})
    known_devices(session, discovery(silent), LATER)
    found = get_device(session, gpu.id)
    assert (found.power_limit_watts, found.unknown) == (None, {"power_limit_watts": "not supported"})


def test_discovery_on_one_node_says_nothing_of_another(session: Session) -> None:
    gpu = known_devices(session)[0]
    elsewhere = discovery(seen_cpu(uuid="CPU-2"), node=seen_node(machine_id="machine-2", hostname="node-2"))
    (other,) = record_discovery(session, elsewhere, LATER)
    assert other.hostname == "node-2"
    assert get_device(session, gpu.id).state is DeviceState.OK
    assert len(list_devices(session)) == 3


def test_the_newest_run_and_fit_are_shown(session: Session) -> None:
    gpu, cpu = known_devices(session)
    assert finished(session, running(session, gpu))
    fit_id = get_device(session, gpu.id).fit_id
    newest = queued(session, gpu, now=LATER)
    found = get_device(session, gpu.id)
    assert (found.fit_id, found.last_run_id, found.last_run_state) == (fit_id, newest, "queued")
    assert get_device(session, cpu.id).last_run_id is None


def test_an_unknown_device_or_machine_is_not_found_by_name(session: Session) -> None:
    known_devices(session)
    with pytest.raises(NotFound, match="'nothing'"):
        get_device(session, "nothing")
    with pytest.raises(NotFound, match="planner devices --scan"):
        node_id_of(session, "machine-9")
    assert node_id_of(session, "machine-1") == list_devices(session)[0].node_id
