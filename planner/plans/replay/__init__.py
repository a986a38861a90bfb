"""A trace of jobs on a given cluster under a queueing policy: waiting, completion, utilisation, cost."""
