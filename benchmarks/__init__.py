"""Programs that measure the planner itself and fit what it ships with; run from a checkout, never installed."""
