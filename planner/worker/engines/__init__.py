"""Where calibrations run: on this machine (planner.worker.main), or on the nodes of a Ray cluster (`fleet`)."""
