"""The mixed-integer program of a plan: pools of interchangeable supply, columns and rows by part, first roundings."""
