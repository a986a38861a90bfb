"""Nodes of GPUs and which of them a gang gets: the fullest node that still has room; whole free nodes for more."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping

Allocation = tuple[tuple[int, int], ...]  # (node, GPUs)


class Cluster:
    """`num_nodes` nodes of `gpus_per_node` GPUs. Among equals the node of the lowest number is taken."""

    def __init__(self, num_nodes: int, gpus_per_node: int) -> None:
        if num_nodes < 1 or gpus_per_node < 1:
            raise ValueError("a cluster has at least one node of one GPU")
        self.gpus_per_node = gpus_per_node
        self.free = [gpus_per_node] * num_nodes
        self._count = [0] * (gpus_per_node + 1)
        self._count[gpus_per_node] = num_nodes
        self._nodes: list[list[int]] = [[] for _ in range(gpus_per_node + 1)]  # heaps; entries of moved nodes are stale
        self._nodes[gpus_per_node] = list(range(num_nodes))

    @property
    def num_gpus(self) -> int:
        return len(self.free) * self.gpus_per_node

    def could_hold(self, num_gpus: int) -> bool:
        """Whether a gang fits an empty cluster."""
        return num_gpus <= self.num_gpus

    def fits(self, num_gpus: int) -> bool:
        """Whether a gang can be placed now."""
        whole, rest = self._parts(num_gpus)
        if whole == 0:
            return any(self._count[rest:])
        if self._count[self.gpus_per_node] < whole:
            return False
        return rest == 0 or self._count[self.gpus_per_node] > whole or any(self._count[rest : self.gpus_per_node])

    def place(self, num_gpus: int) -> Allocation | None:
        """Nodes for a gang, taken at once; None where it does not fit.

        Up to a node's GPUs: the node with the least sufficient room. More: whole free nodes, what remains on the node
        with the most room then.
        """
        if not self.fits(num_gpus):
            return None
        whole, rest = self._parts(num_gpus)
        taken = []
        for _ in range(whole):
            node = self._lowest(self.gpus_per_node)
            self._set(node, 0)
            taken.append((node, self.gpus_per_node))
        if rest:
            levels = range(self.gpus_per_node, rest - 1, -1) if whole else range(rest, self.gpus_per_node + 1)
            level = next(level for level in levels if self._count[level])
            node = self._lowest(level)
            self._set(node, level - rest)
            taken.append((node, rest))
        return tuple(taken)

    def release(self, allocation: Allocation) -> None:
        """Give a gang's GPUs back."""
        for node, num_gpus in allocation:
            self._set(node, self.free[node] + num_gpus)

    def fits_after(self, num_gpus: int, releases: Iterable[tuple[float, Allocation]]) -> float | None:
        """The first moment of `releases` (in order of time) after which a gang would fit; None: not even then."""
        whole, rest = self._parts(num_gpus)
        freed: dict[int, int] = {}
        empty = self._count[self.gpus_per_node]
        for moment, allocation in releases:
            for node, gpus in allocation:
                room = freed.get(node, self.free[node]) + gpus
                freed[node] = room
                empty += room == self.gpus_per_node
                if whole == 0 and room >= rest:
                    return moment
            if whole and empty >= whole and (rest == 0 or empty > whole or self._has_rest(rest, freed)):
                return moment
        return None

    def _has_rest(self, rest: int, freed: Mapping[int, int]) -> bool:
        rooms = (freed.get(node, room) for node, room in enumerate(self.free))
        return any(rest <= room < self.gpus_per_node for room in rooms)

    def _parts(self, num_gpus: int) -> tuple[int, int]:
        if num_gpus <= self.gpus_per_node:
            return 0, num_gpus
        return divmod(num_gpus, self.gpus_per_node)

    def _lowest(self, level: int) -> int:
        heap = self._nodes[level]
        while self.free[heap[0]] != level:
            heapq.heappop(heap)
        return heap[0]

    def _set(self, node: int, level: int) -> None:
        self._count[self.free[node]] -= 1
        self._count[level] += 1
        self.free[node] = level
        heapq.heappush(self._nodes[level], node)
