"""Budgets held against what happened: money by scope and month, and the difference by its causes."""
