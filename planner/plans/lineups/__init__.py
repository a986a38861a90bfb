"""Divisible gangs exactly: which jobs run beside each other on which kinds of GPU, and for how long each line-up."""
