"""The number formats and the engine that a row of an inference table names."""

from __future__ import annotations

import re
from dataclasses import dataclass

from planner.estimates.serving_profile import peak_of
from planner.estimates.validation.subjects import Declined
from planner.estimates.validation.table import Row
from planner.hardware.gpu import Dtype, Gpu
from planner.jobs.engine import Engine

# Bits of a stored weight with its scales: groups of 128 with a 16-bit scale and a 4-bit zero (GPTQ, AWQ), of 32 with an
# 8-bit scale (OCP MX), llama.cpp's q4_k_m (4.58 GiB for 8.03 B weights, its README), 8 bits with a scale per 32 (q8_0).
GROUPED_4BIT = 4.16
MX_4BIT = 4.25
Q4_K_M = 4.85
Q8_0 = 8.5
PLAIN = {
    "bf16": Dtype.BF16,
    "fp16": Dtype.FP16,
    "f16": Dtype.FP16,
    "amp(fp16)": Dtype.FP16,
    "amp": Dtype.FP16,
    "fp32": Dtype.FP32,
    "tf32": Dtype.TF32,
    "fp8": Dtype.FP8,
    "fp4": Dtype.FP4,
    "nvfp4": Dtype.FP4,
}
PACKED = {"q4_k_m": Q4_K_M, "q8_0": Q8_0, "mxfp4": MX_4BIT, "int4": GROUPED_4BIT, "q4_0": 4.5, "w4a16": GROUPED_4BIT}
# By a word of the framework's name; the first that matches.
ENGINES = (
    ("tensorrt-llm", Engine.TENSORRT_LLM),
    ("trt-llm", Engine.TENSORRT_LLM),
    ("vllm", Engine.VLLM),
    ("sglang", Engine.SGLANG),
    ("lmdeploy", Engine.LMDEPLOY),
    ("turbomind", Engine.LMDEPLOY),
    ("llama.cpp", Engine.LLAMA_CPP),
    ("ctransformers", Engine.LLAMA_CPP),
    ("mlc", Engine.MLC),
    ("exllama", Engine.EXLLAMA),
    ("habana", Engine.HABANA),
    ("deepspeed", Engine.DEEPSPEED),
    ("torch.compile", Engine.COMPILED),
    ("xla", Engine.COMPILED),
    ("no compile", Engine.PYTORCH),
    ("tensorrt", Engine.TENSORRT),
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
    stated = row.text("precision").casefold()
    cache = PLAIN.get(row.text("kv_precision").casefold())
    if not stated:
        dtype = _usual(row, gpu)
        if dtype is None:
            return Declined(f"no number format of {gpu.key} is known")
        assumptions.append(f"{dtype.value} products")
        return Format(dtype, cache)
    wide = Dtype.BF16 if gpu.peak(Dtype.BF16) is not None else Dtype.FP16
    if stated.startswith("int8"):
        generates = row.text("model_family") in ("dense-transformer", "moe-transformer")
        if generates or gpu.peak(Dtype.INT8) is None:
            return Format(wide, cache, Q8_0) if peak_of(gpu, wide) else Declined(f"{gpu.key} has no 16-bit rate")
        return Format(Dtype.INT8, cache)
    bits = PACKED.get(re.sub(r"\(.*", "", stated))
    dtype = PLAIN.get(stated)
    if bits is None and dtype is None:
        return Declined(f"the precision {row.text('precision')!r} is not known")
    if dtype is Dtype.FP4 and gpu.peak(Dtype.FP4) is None:
        bits = MX_4BIT
    if bits is not None:
        if stated == "mxfp4" and gpu.peak(Dtype.FP4) is not None and gpu.peak(Dtype.FP8) is not None:
            return Format(Dtype.FP8, cache, MX_4BIT)
        return Format(wide, cache, bits)
    if dtype is Dtype.FP8 and cache is None and engine_of(row) in FP8_CACHE:
        cache = Dtype.FP8
    if dtype is Dtype.FP8 and gpu.peak(Dtype.FP8) is None:
        return Format(wide, cache, 8.0)
    return Format(dtype or wide, cache)


def _usual(row: Row, gpu: Gpu) -> Dtype | None:
    """16 bits where the GPU multiplies them: those who publish speeds publish the fast ones (YOLOv5's task "speed" runs
    in fp16 on any GPU without saying so)."""
    order = (Dtype.BF16, Dtype.FP16, Dtype.FP32)
    if row.text("model_family") == "cnn":
        order = (Dtype.FP16, Dtype.FP32, Dtype.BF16)
    return next((dtype for dtype in order if gpu.peak(dtype) is not None), None)
