"""The room that touches devices: discovery, telemetry, the benches and the process that measures.

Nothing that a service or a web page imports may load torch or open a driver: `discovery`, `telemetry` and `runner`
start helper processes for that. torch is imported in `child` and `benches` (and in `torch_devices`, run as a process).
"""
