"""GPU Planner."""
