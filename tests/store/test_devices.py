"""Rows of nodes and devices follow discovery, by UUID and nothing else."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from planner.inventory.device import DeviceState
from planner.store import devices as store
from planner.store.engine import Engine, Session, session_factory
from planner.store.tables import DeviceRow
from tests.builders import NOW, seen_cpu, seen_device, seen_node

LATER = NOW + timedelta(hours=1)
OTHER = "GPU-22222222-2222-3333-4444-555555555555"


def node_id(session: Session) -> str:
    return store.upsert_node(session, seen_node(), NOW).id


def device(session: Session, **changes: object) -> DeviceRow:
    return store.upsert_device(session, node_id(session), seen_device(**changes), NOW)


def test_a_node_keeps_its_id_over_boots_and_takes_the_new_boot_and_name(session: Session) -> None:
    first = store.upsert_node(session, seen_node(), NOW)
    first_id = first.id
    again = store.upsert_node(session, seen_node(boot_id="boot-2", hostname="renamed"), LATER)
    assert (again.id, again.boot_id, again.hostname) == (first_id, "boot-2", "renamed")
    assert (again.first_seen_at, again.last_seen_at) == (NOW, LATER)
    assert store.node_id_of(session, "machine-1") == first_id
    assert store.node_id_of(session, "machine-2") is None


def test_a_device_seen_again_is_the_same_row_brought_up_to_date(session: Session) -> None:
    first_id = device(session).id
    again = store.upsert_device(session, node_id(session), seen_device(driver_version="590.1"), LATER)
    assert (again.id, again.driver_version) == (first_id, "590.1")
    assert (again.first_seen_at, again.last_seen_at) == (NOW, LATER)


def test_what_the_driver_does_not_tell_is_null_with_its_reason(session: Session) -> None:
    row = store.upsert_device(session, node_id(session), seen_cpu(memory_bytes=None), NOW)
    session.expire_all()
    assert (row.memory_bytes, row.power_limit_watts, row.gpu_key) == (None, None, None)
    assert row.unknown == {"power_limit_watts": "a CPU has no driver that tells it"}


def test_a_device_that_is_not_seen_is_missing_since_then_and_stays_so_dated(session: Session) -> None:
    row = device(session)
    store.mark_missing(session, row.node_id, set(), "not seen", LATER)
    store.mark_missing(session, row.node_id, set(), "not seen again", LATER + timedelta(hours=1))
    session.expire_all()
    assert (row.state, row.state_reason, row.missing_since) == (DeviceState.MISSING, "not seen", LATER)


def test_a_device_of_another_node_is_not_missed(session: Session) -> None:
    other_node = store.upsert_node(session, seen_node(machine_id="machine-2"), NOW)
    elsewhere = store.upsert_device(session, other_node.id, seen_device(uuid=OTHER), NOW)
    store.mark_missing(session, node_id(session), set(), "not seen", LATER)
    session.expire_all()
    assert elsewhere.state == DeviceState.OK


def test_a_missing_device_that_is_seen_is_back_as_if_never_gone(session: Session) -> None:
    row = device(session)
    store.mark_missing(session, row.node_id, set(), "not seen", LATER)
    back = device(session)
    assert (back.id, back.state, back.state_reason, back.missing_since) == (row.id, DeviceState.OK, None, None)


def test_a_quarantined_device_stays_so_whether_seen_or_missing(session: Session) -> None:
    row = device(session)
    row.state, row.state_reason = DeviceState.QUARANTINED.value, "ECC errors"
    session.flush()
    assert device(session).state == DeviceState.QUARANTINED
    store.mark_missing(session, row.node_id, set(), "not seen", LATER)
    session.expire_all()
    assert (row.state, row.state_reason, row.missing_since) == (DeviceState.QUARANTINED, "ECC errors", LATER)
    back = device(session)
    assert (back.state, back.state_reason, back.missing_since) == (DeviceState.QUARANTINED, "ECC errors", None)


@pytest.mark.fault(55)
def test_boards_that_swap_their_index_keep_their_identity(session: Session) -> None:
    first, second = device(session, index=0).id, device(session, uuid=OTHER, index=1).id
    assert device(session, index=1).id == first
    assert device(session, uuid=OTHER, index=0).id == second
    rows = {row.id: row.device_index for row, _ in store.all_devices(session)}
    assert rows == {first: 1, second: 0}


@pytest.mark.fault(56)
def test_a_board_swapped_in_the_same_slot_is_a_new_device(session: Session) -> None:
    old = device(session)
    new = device(session, uuid=OTHER)
    assert new.id != old.id


def test_a_board_moved_to_another_node_is_still_itself(session: Session) -> None:
    first = device(session).id
    other_node = store.upsert_node(session, seen_node(machine_id="machine-2", hostname="node-2"), NOW)
    moved = store.upsert_device(session, other_node.id, seen_device(), LATER)
    assert (moved.id, moved.node_id) == (first, other_node.id)


def test_accelerators_stand_before_the_cpu_by_their_index(session: Session) -> None:
    node = node_id(session)
    for seen in (seen_cpu(), seen_device(uuid=OTHER, index=1), seen_device(index=0)):
        store.upsert_device(session, node, seen, NOW)
    assert [row.uuid for row, _ in store.all_devices(session)] == [seen_device().uuid, OTHER, seen_cpu().uuid]


def test_two_processes_that_discover_a_new_machine_at_once_make_one_node_and_one_device(engine: Engine) -> None:
    sessions = session_factory(engine)

    def discover(_number: int) -> tuple[str, str]:
        with sessions.begin() as session:
            node = store.upsert_node(session, seen_node(), NOW)
            return node.id, store.upsert_device(session, node.id, seen_device(), NOW).id

    with ThreadPoolExecutor(4) as pool:
        found = set(pool.map(discover, range(8)))
    assert len(found) == 1


@pytest.mark.parametrize("memory_bytes", [2**31, 2**40, 192 * 2**30])
def test_memory_beyond_four_bytes_of_integer_is_kept_exactly(session: Session, memory_bytes: int) -> None:
    row = device(session, memory_bytes=memory_bytes)
    session.expire_all()
    assert row.memory_bytes == memory_bytes
