"""What engines do for mixtures of experts: whole tiles of rows, few kernels to route them, formats beside the experts'.

Programs that train sort and send rows in many kernels (`planner/jobs/blocks.py`); engines that serve fuse them.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from planner.estimates.priors.serving import EnginePrior, load_serving_priors
from planner.hardware.gpu import Dtype
from planner.jobs.blocks import DISPATCH_PASSES
from planner.jobs.config_packing import MXFP4_BITS
from planner.jobs.convnet import ConvNet
from planner.jobs.job import InferenceJob
from planner.jobs.operations import Work, WorkClass, side_dtype

# Rows of the smallest tile that units multiply: mma.m16n8k16 (PTX ISA), BLOCK_SIZE_M 16 of vLLM's fused_moe.
SMALLEST_TILE = 16.0
# Passes over the rows of all experts beside their products: copying rows to their experts (or quantising them), and
# summing what comes back (vLLM's fused_moe.py: moe_kernel_quantize_input, moe_sum; read 2026-11-22).
ROUTED_PASSES = 2.0


def routed(work: Work, engine: EnginePrior) -> Work:
    """An operation as an engine runs it; eager programs route as those that train do."""
    figures = load_serving_priors().figures
    if work.work_class is WorkClass.EXPERT:
        return _in_tiles(work, figures["expert_tile"])
    if work.work_class is WorkClass.DISPATCH and engine.kernels < 1.0:
        launches = figures["routing_kernels"] / engine.kernels  # these are what is left, whatever else is fused
        return replace(work, num_bytes=work.num_bytes * ROUTED_PASSES / DISPATCH_PASSES, launches=launches)
    return work


def _in_tiles(work: Work, largest: float) -> Work:
    """Rows of an expert fill whole tiles: half of one is empty on average, and there is at least one. Kernels choose
    tiles about twice as high as an expert has rows."""
    rows = np.asarray(work.rows)
    tile = np.clip(2.0 * rows, SMALLEST_TILE, largest)
    return replace(work, flops=work.flops * np.maximum(tile, rows + tile / 2.0) / rows)


def attention_dtype(job: InferenceJob) -> Dtype | None:
    """16 bits for the projections of attention beside experts of 4-bit floating point, as checkpoints store them
    (gpt-oss: modules_to_not_convert of config.json; nvidia/MiniMax-M2.5-NVFP4: exclude_modules of hf_quant_config.json;
    read 2026-11-22). None: the format of the rest."""
    network = job.architecture
    if isinstance(network, ConvNet) or network.num_experts == 1:
        return None
    is_four = job.dtype is Dtype.FP4 or job.weight_bits == MXFP4_BITS
    return side_dtype(job.dtype) if is_four else None


def attention_bytes(job: InferenceJob) -> float | None:
    """Bytes of a weight of those projections; None: as the rest."""
    found = attention_dtype(job)
    return None if found is None else found.num_bytes
