"""A local Ray cluster of nodes a and b with a fleet over it: `ray_fleet.py DATABASE_URL FOLDER`.

The file `kill-b` in the folder kills node b without warning, `add-b` brings another of that name; `stop` ends it all.
"""

import logging
import os
import sys
import threading
import time
from pathlib import Path

os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_DISABLE_IMPORT_WARNING": "1"}

from ray.cluster_utils import Cluster

from planner.store.engine import make_engine, session_factory
from planner.worker.engines import cluster as places
from planner.worker.engines.fleet import Fleet

url, folder = sys.argv[1], Path(sys.argv[2])
command = (sys.executable, str(Path(__file__).with_name("slow_child.py")), str(folder))
logging.disable(logging.CRITICAL)
cluster = Cluster()
cluster.add_node(num_cpus=0, include_dashboard=False)
# While there is the head alone: a client talks through one node, which is not to be the one that is killed.
places.connect(cluster.address)
nodes = {name: cluster.add_node(num_cpus=1, labels={places.NODE_LABEL: name}) for name in "ab"}
stop = threading.Event()
fleet = Fleet(session_factory(make_engine(url)), command, look_seconds=1.0)
thread = threading.Thread(target=fleet.work_until, args=(stop,))
thread.start()
while not (folder / "stop").exists():
    if (folder / "kill-b").exists() and "b" in nodes:
        (folder / "kill-b").unlink()
        cluster.remove_node(nodes.pop("b"), allow_graceful=False)
    if (folder / "add-b").exists() and "b" not in nodes:
        nodes["b"] = cluster.add_node(num_cpus=1, labels={places.NODE_LABEL: "b"})
    time.sleep(0.1)
stop.set()
thread.join()
places.disconnect()
cluster.shutdown()
