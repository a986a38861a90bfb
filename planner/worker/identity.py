"""Who this worker is: its machine, the boot of it, and a name that no other process bears."""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass

from planner.gpu.cpu import look_at_node


@dataclass(frozen=True, slots=True)
class Identity:
    """One worker process."""

    machine_id: str
    boot_id: str
    worker_id: str

    @classmethod
    def here(cls) -> Identity:
        """This process."""
        node = look_at_node()
        return cls(node.machine_id, node.boot_id, f"{node.hostname}:{os.getpid()}:{secrets.token_hex(3)}")
