"""The nodes of a Ray cluster: what is attached to each, and a run measured on one of them by the usual child.

APScheduler decides when and Ray where. Everything that Ray is asked stands here; it is an optional extra (`[ray]`).
"""

from __future__ import annotations

import queue
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import ray as ray_package
import structlog
from ray.exceptions import GetTimeoutError, RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from planner.errors import Unavailable
from planner.gpu.discovery import discover
from planner.gpu.events import LOST, ChildJob, ChildResult, Event
from planner.gpu.runner import CHILD_COMMAND, measure
from planner.inventory.device import Backend, Discovery

log = structlog.get_logger()
ray: Any = ray_package  # whether its types are there depends on the extra being installed

NODE_LABEL = "planner-node"  # names a node of the cluster where several stand on one machine
FAULTS = (RayError, ConnectionError)
KIND = "accelerator_type:"
ASK_SECONDS = 60.0  # for a node to say what is attached to it
ANSWER_SECONDS = 15.0  # for a node that was lost to do something again
SILENT_SECONDS = (
    60.0  # a measuring actor that starts or answers no sooner is lost; of one that died Ray says so at once
)
LOOK_SECONDS = 1.0  # between two looks at whether to stop, while it is waited for
TAKE_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class ClusterNode:
    """A living node: Ray's id of it, the label it was given (empty: none), and what it has to give."""

    ray_id: str
    label: str
    num_cpus: float
    num_gpus: float
    accelerator_type: str | None


def connect(address: str) -> None:
    """Join the cluster at that address ("auto": the one of this machine) as a client that gives it nothing.

    Raises Unavailable where no cluster answers there.
    """
    try:
        ray.init(address=address, log_to_driver=False, configure_logging=False)
    except FAULTS as error:
        raise Unavailable(f"no Ray cluster answers at {address!r}: {error}") from error


def disconnect() -> None:
    """Leave the cluster; what runs for us there is ended by Ray."""
    ray.shutdown()


def living_nodes() -> list[ClusterNode]:
    """The nodes that are alive and have a processor or an accelerator to give, in a lasting order."""
    found = []
    for node in ray.nodes():
        resources: dict[str, float] = node.get("Resources") or {}
        if node["Alive"] and (resources.get("CPU", 0.0) > 0 or resources.get("GPU", 0.0) > 0):
            labels = node.get("Labels") or {}
            kinds = [name.removeprefix(KIND) for name in resources if name.startswith(KIND)]
            found.append(
                ClusterNode(
                    node["NodeID"],
                    labels.get(NODE_LABEL, ""),
                    resources.get("CPU", 0.0),
                    resources.get("GPU", 0.0),
                    kinds[0] if kinds else None,
                )
            )
    return sorted(found, key=lambda node: (node.label, node.ray_id))


def is_alive(node: ClusterNode) -> bool:
    """Whether the cluster still counts the node among its living."""
    return any(found["NodeID"] == node.ray_id and found["Alive"] for found in ray.nodes())


def answers(node: ClusterNode) -> bool:
    """Whether the node does something that it is asked to, within ANSWER_SECONDS."""
    remote: Any = ray.remote(_nothing)
    try:
        ray.get(remote.options(num_cpus=0, scheduling_strategy=_pinned(node)).remote(), timeout=ANSWER_SECONDS)
    except RayError:
        return False
    return True


def _nothing() -> None:
    """What a node is asked to do to see whether it answers."""


def discover_nodes(nodes: Sequence[ClusterNode]) -> list[tuple[ClusterNode, Discovery]]:
    """What is attached to each node, asked of its own drivers; a node that does not answer is left out and told.

    A node with a label is known by it beside its machine: several on one machine see the same processor. Without one
    each of several is known by Ray's id of it, so that it is another device once it was started anew.
    """
    remote: Any = ray.remote(max_retries=0)(discover)
    asked = [(node, remote.options(num_cpus=0, scheduling_strategy=_pinned(node)).remote()) for node in nodes]
    found: list[tuple[ClusterNode, Discovery]] = []
    for node, reference in asked:
        try:
            found.append((node, ray.get(reference, timeout=ASK_SECONDS)))
        except RayError as error:
            log.warning("fleet.node_silent", node=node.label or node.ray_id, error=str(error).splitlines()[0])
    machines = Counter(seen.node.machine_id for _, seen in found)
    return [
        (node, _apart(node, seen) if node.label or machines[seen.node.machine_id] > 1 else seen) for node, seen in found
    ]


def _apart(node: ClusterNode, seen: Discovery) -> Discovery:
    """The discovery of one of several nodes on a machine: its own identity, and only the devices it has to give."""
    name = node.label or node.ray_id[:12]
    devices = [device for device in seen.devices if device.backend is Backend.CPU or node.num_gpus > 0]
    return Discovery(
        node=replace(seen.node, machine_id=f"{seen.node.machine_id}/{name}", hostname=f"{seen.node.hostname}/{name}"),
        devices=tuple(
            replace(device, uuid=f"{device.uuid}/{name}") if device.backend is Backend.CPU else device
            for device in devices
        ),
        problems=seen.problems,
    )


def _pinned(node: ClusterNode) -> NodeAffinitySchedulingStrategy:
    return NodeAffinitySchedulingStrategy(node.ray_id, soft=False)


class _Measuring:
    """The actor on the node: the usual runner in a thread of its own, its events kept until they are taken."""

    def __init__(self, job: ChildJob, command: Sequence[str]) -> None:
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._stop = threading.Event()
        self._result: ChildResult | None = None
        self._error = ""
        self._thread = threading.Thread(target=self._run, args=(job, command), daemon=True)
        self._thread.start()

    def _run(self, job: ChildJob, command: Sequence[str]) -> None:
        try:
            self._result = measure(job, self._events.put, self._stop.is_set, command)
        except Exception as error:  # noqa: BLE001 - handed to the one who asked, who knows what to do about it
            self._error = f"{type(error).__name__}: {error}"

    def take(self) -> tuple[list[Event], ChildResult | None, str]:
        """The events since the last time, and once it has ended the result or why there is none."""
        ended = not self._thread.is_alive()
        events = []
        with suppress(queue.Empty):
            while True:
                events.append(self._events.get_nowait())
        return events, self._result if ended else None, self._error if ended else ""

    def stop(self) -> None:
        self._stop.set()


def measure_on(node: ClusterNode, command: Sequence[str] = CHILD_COMMAND) -> Callable[..., ChildResult]:
    """A `measure` as the local one, whose child runs on that node: the job's accelerators of it, or its processor.

    Where the node is lost the result's outcome is LOST; whatever it had told until then was told.
    """

    def measure_there(
        job: ChildJob, on_event: Callable[[Event], None], should_stop: Callable[[], bool] = lambda: False
    ) -> ChildResult:
        started_at = time.monotonic()
        actor = _actor(node, job, command)
        asked_to_stop = False
        try:
            while True:
                reference, asked_at = actor.take.remote(), time.monotonic()
                while not ray.wait([reference], timeout=LOOK_SECONDS)[0]:
                    if time.monotonic() - asked_at > SILENT_SECONDS:
                        raise GetTimeoutError(f"silent for {SILENT_SECONDS:g} s")
                    asked_to_stop = asked_to_stop or _stopped(actor, should_stop)
                asked_to_stop = asked_to_stop or _stopped(actor, should_stop)
                events, result, error = ray.get(reference)
                for event in events:
                    on_event(event)
                if isinstance(result, ChildResult):
                    return result
                if error:
                    raise RuntimeError(error)
                time.sleep(TAKE_SECONDS)
        except RayError as error:
            reason = f"node {node.label or node.ray_id[:12]} of the cluster was lost: {type(error).__name__}"
            return ChildResult(LOST, reason, None, None, "", time.monotonic() - started_at)
        finally:
            with suppress(RayError):
                ray.kill(actor)

    return measure_there


def _stopped(actor: Any, should_stop: Callable[[], bool]) -> bool:
    """Whether it is to stop; then the actor was told."""
    if not should_stop():
        return False
    actor.stop.remote()
    return True


def _actor(node: ClusterNode, job: ChildJob, command: Sequence[str]) -> Any:
    """As many accelerators of the node as the job holds are asked of Ray; which ones the job says, by their UUIDs, so
    Ray must not hide others."""
    wants: dict[str, Any] = {"num_cpus": 1 if job.backend is Backend.CPU else 0}
    if job.backend is not Backend.CPU:
        wants |= {"num_gpus": 1 + len(job.peers), "accelerator_type": node.accelerator_type}
    kept = {"env_vars": {"RAY_EXPERIMENTAL_NOSET_CUDA_VISIBLE_DEVICES": "1"}}
    made: Any = ray.remote(_Measuring)
    return made.options(
        **wants, scheduling_strategy=_pinned(node), max_restarts=0, max_concurrency=2, runtime_env=kept
    ).remote(job, tuple(command))
