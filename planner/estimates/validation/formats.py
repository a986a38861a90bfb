"""The number formats and the engine that a row of an inference table names."""

from __future__ import annotations

import re
from dataclasses import dataclass

from planner.estimates.serving_profile import peak_of
from planner.estimates.validation.precisions import MX_4BIT, Q8_0, Spelled, plain_format, spelled
from planner.estimates.validation.subjects import Declined
from planner.estimates.validation.table import Row
from planner.hardware.gpu import Dtype, Gpu
from planner.jobs.engine import Engine

# Bits in which weights lie that a GPU has no products for.
UNPACKED = {Dtype.FP4: MX_4BIT, Dtype.FP8: 8.0, Dtype.INT8: Q8_0}
# By a word of the framework's name; the first that matches.
ENGINES = (
    ("tensorrt-llm", Engine.TENSORRT_LLM),
    ("trt-llm", Engine.TENSORRT_LLM),
    ("trtllm", Engine.TENSORRT_LLM),
    ("trt_llm", Engine.TENSORRT_LLM),
    ("vllm", Engine.VLLM),
    ("sglang", Engine.SGLANG),
    ("lmdeploy", Engine.LMDEPLOY),
    ("turbomind", Engine.LMDEPLOY),
    ("llama.cpp", Engine.LLAMA_CPP),
    ("llama-cpp", Engine.LLAMA_CPP),
    ("llamacpp", Engine.LLAMA_CPP),
    ("llama-bench", Engine.LLAMA_CPP),
    ("ollama", Engine.LLAMA_CPP),
    ("ctransformers", Engine.LLAMA_CPP),
    ("mlc", Engine.MLC),
    ("exllama", Engine.EXLLAMA),
    ("exl2", Engine.EXLLAMA),
    ("text-generation-inference", Engine.UNSTATED),  # a batching engine of its own
    ("habana", Engine.HABANA),
    ("deepspeed", Engine.DEEPSPEED),
    ("torch.compile", Engine.COMPILED),
    ("inductor", Engine.COMPILED),
    ("aitemplate", Engine.COMPILED),
    ("openvino", Engine.COMPILED),
    ("xla", Engine.PYTORCH),  # TensorFlow's executor starts what XLA compiled cluster by cluster, as an eager program
    ("no compile", Engine.PYTORCH),
    ("tensorrt", Engine.TENSORRT),
    ("migraphx", Engine.TENSORRT),  # AMD's compiler of graphs
    ("tensorflow", Engine.PYTORCH),
    ("submission", Engine.TENSORRT),
    ("onnx", Engine.COMPILED),
    ("transformers", Engine.TRANSFORMERS),
    ("autogptq", Engine.TRANSFORMERS),
    ("autoawq", Engine.TRANSFORMERS),
    ("lightning", Engine.TRANSFORMERS),
    ("candle", Engine.TRANSFORMERS),
    ("ctranslate", Engine.COMPILED),
    ("diffusers", Engine.PYTORCH),
    ("pytorch", Engine.PYTORCH),
    ("hugging", Engine.TRANSFORMERS),
)

# Engines of language models, and what a bare name means where a language model runs.
LANGUAGE = (Engine.TENSORRT_LLM, Engine.VLLM, Engine.SGLANG)
OTHERS = {Engine.TENSORRT: Engine.TENSORRT_LLM, Engine.PYTORCH: Engine.TRANSFORMERS}
FIRST_FAST_VLLM = 2025
# Engines whose published 8-bit runs keep the cache in 8 bits too (TensorRT-LLM performance pages; Optimum Habana).
FP8_CACHE = (Engine.TENSORRT_LLM, Engine.HABANA)


@dataclass(frozen=True, slots=True)
class Format:
    """The arithmetic, the cache, and the stored bits of a weight where they are fewer."""

    dtype: Dtype
    kv_dtype: Dtype | None = None
    weight_bits: float | None = None


def engine_of(row: Row) -> Engine:
    """The engine of a framework's name; of a language model a bare TensorRT name means TensorRT-LLM's."""
    name = row.text("framework").casefold()
    generates = row.text("model_family") in ("dense-transformer", "moe-transformer")
    for word, engine in ENGINES:
        if word not in name:
            continue
        if engine in LANGUAGE and not generates:
            return Engine.TENSORRT
        if engine is Engine.VLLM:
            return Engine.VLLM_EARLY if _is_early(row, name) else engine
        if engine in OTHERS and generates:
            return OTHERS[engine]
        return engine
    return Engine.UNSTATED


def _is_early(row: Row, name: str) -> bool:
    """vLLM before 0.6: by the release that is named, else by the year."""
    release = re.search(r"vllm v?(\d+)\.(\d+)", name)
    if release:
        return (int(release[1]), int(release[2])) < (0, 6)
    return (row.whole("year") or FIRST_FAST_VLLM) < FIRST_FAST_VLLM


def format_of(row: Row, gpu: Gpu, assumptions: list[str]) -> Format | Declined:
    """The formats of a row on that GPU; what the GPU cannot multiply is unpacked to 16 bits first."""
    stated = row.text("precision")
    if not stated:
        dtype = _usual(row, gpu)
        if dtype is None:
            return Declined(f"no number format of {gpu.key} is known")
        assumptions.append(f"{dtype.value} products")
        return Format(dtype, plain_format(row.text("kv_precision")))
    found = spelled(stated)
    if found is None:
        return Declined(f"the precision {stated!r} is not known")
    cache = plain_format(row.text("kv_precision")) or found.kv_dtype
    if cache is None and found.dtype is Dtype.FP8 and engine_of(row) in FP8_CACHE:
        cache = Dtype.FP8
    return _on(row, gpu, found, cache)


def _on(row: Row, gpu: Gpu, found: Spelled, cache: Dtype | None) -> Format | Declined:
    wide = Dtype.BF16 if gpu.peak(Dtype.BF16) is not None else Dtype.FP16
    dtype, bits = found.dtype, found.weight_bits
    if dtype is None and bits is None:  # 8-bit integers: of a language model usually the weights alone
        generates = row.text("model_family") in ("dense-transformer", "moe-transformer")
        dtype, bits = (None, Q8_0) if generates else (Dtype.INT8, None)
    if dtype is Dtype.FP4 and found.is_mx:
        has_both = gpu.peak(Dtype.FP4) is not None and gpu.peak(Dtype.FP8) is not None
        return Format(Dtype.FP8 if has_both else wide, cache, MX_4BIT)
    if dtype is not None and dtype in UNPACKED and gpu.peak(dtype) is None:
        bits = bits or UNPACKED[dtype]
        dtype = None
    if dtype is None and peak_of(gpu, wide) is None:
        return Declined(f"{gpu.key} has no 16-bit rate")
    return Format(dtype or wide, cache, bits)


def _usual(row: Row, gpu: Gpu) -> Dtype | None:
    """16 bits where the GPU multiplies them: those who publish speeds publish the fast ones (YOLOv5's task "speed" runs
    in fp16 on any GPU without saying so)."""
    order = (Dtype.BF16, Dtype.FP16, Dtype.FP32)
    if row.text("model_family") == "cnn":
        order = (Dtype.FP16, Dtype.FP32, Dtype.BF16)
    return next((dtype for dtype in order if gpu.peak(dtype) is not None), None)
