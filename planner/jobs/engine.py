"""The software that serves: engines differ more in speed than releases of one do, so an estimate names one."""

from __future__ import annotations

from enum import StrEnum


class Engine(StrEnum):
    """What runs the passes of an inference job."""

    UNSTATED = "unstated"  # any of the batching engines: the usual one, with a wider range
    TENSORRT_LLM = "tensorrt-llm"
    VLLM = "vllm"
    VLLM_EARLY = "vllm-early"  # releases before 0.6 (September 2024), whose scheduler ran between the steps
    SGLANG = "sglang"
    LMDEPLOY = "lmdeploy"
    LLAMA_CPP = "llama.cpp"
    MLC = "mlc-llm"
    EXLLAMA = "exllama"
    TRANSFORMERS = "transformers"  # Hugging Face, eager PyTorch
    DEEPSPEED = "deepspeed"
    HABANA = "optimum-habana"
    TENSORRT = "tensorrt"  # compiled graphs for encoders and pictures
    PYTORCH = "pytorch"  # eager, for encoders and pictures
    COMPILED = "compiled"  # torch.compile, XLA and tuned containers


class Batching(StrEnum):
    """How requests share passes."""

    CONTINUOUS = "continuous"  # each that ends is replaced at once
    STATIC = "static"  # a batch starts and ends together
