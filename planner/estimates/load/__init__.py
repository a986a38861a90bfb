"""A service under load: the requests that come, what they wait, and how many GPUs keep a service level.

requests    arrival times and sizes of many requests, and what they tell: rates, means, burstiness, prefix reuse
arrivals    requests that come at random: Poisson, bursty, over the day
traces      requests that came: Azure's CSV, Mooncake's JSONL, plain CSV and JSONL
buckets     how many requests are of which size
step_table  seconds of an engine's steps, tabulated for a simulation
engine      one replica that batches continuously, request by request
latencies   percentiles of what requests waited
replicas    several replicas; prefill and decode apart
queues      closed forms that the simulation is held to
level       a service level, and the floor below which none can be kept
demand      a rate of random requests or a trace, and what one of N replicas gets of it
saturation  what a replica serves at its fullest, by formula
sizing      how many GPUs a demand needs at a level, and what every other way lost on
apart       the same with prefill and decode on replicas of their own
curve       latency against load, and the knee
replica     a replica of the serving model: layout, steps and cache
ways        the replicas that devices and offers allow, with their prices
hours       a sized service over the hours of a day or a week
batching    one GPU that answers items of a single pass, in batches
items       such items: at random, or frames of cameras
pass_*      networks that answer in passes, the GPUs that could, and how many of them a deadline needs
pressure    training and inference of one architecture side by side on one GPU
bill        what a sized service costs and draws, against an API too
push        training against inference: which pushes a GPU harder
"""
