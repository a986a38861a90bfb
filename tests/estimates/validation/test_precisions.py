"""Number formats as tables spell them."""

from __future__ import annotations

import pytest

from planner.estimates.validation.precisions import GGUF, Spelled, plain_format, spelled
from planner.hardware.gpu import Dtype


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("bfloat16", Spelled(Dtype.BF16)),
        ("half", Spelled(Dtype.FP16)),
        ("AMP (fp16)", Spelled(Dtype.FP16)),
        ("bf16/fp32", Spelled(Dtype.BF16)),
        ("float32", Spelled(Dtype.FP32)),
        ("FP8 (E4M3)", Spelled(Dtype.FP8)),
        ("NVFP4", Spelled(Dtype.FP4)),
        ("W8A8", Spelled(Dtype.INT8)),
        ("w8a8-fp8", Spelled(Dtype.FP8)),
        ("int8 (SmoothQuant)", Spelled(Dtype.INT8)),
        ("fp16/int8", Spelled()),
        ("W4A16-AWQ", Spelled(weight_bits=4.16)),
        ("w4a8", Spelled(Dtype.INT8, 4.16)),
        ("GPTQ-Int8", Spelled(weight_bits=8.5)),
        ("int8 weight-only", Spelled(weight_bits=8.5)),
        ("bnb-4bit", Spelled(weight_bits=4.16)),
        ("Q5_K_M", Spelled(weight_bits=GGUF["q5km"])),
        ("Q4_K", Spelled(weight_bits=GGUF["q4km"])),
        ("iq4_xs", Spelled(weight_bits=GGUF["iq4xs"])),
        ("q4f16_1", Spelled(weight_bits=4.5)),
        ("exl2 3.5bpw", Spelled(weight_bits=3.5)),
        ("fp8, KV cache fp8_e5m2", Spelled(Dtype.FP8, kv_dtype=Dtype.FP8)),
        ("fp16 + int8 kv", Spelled(Dtype.FP16, kv_dtype=Dtype.INT8)),
        ("fp8/nvfp4", None),
        ("posit8", None),
        ("as published", None),
    ],
)
def test_spellings_of_a_format_mean_the_same(text: str, found: Spelled | None) -> None:
    assert spelled(text) == found


def test_a_cache_is_named_by_its_numbers() -> None:
    names = ("fp8_e4m3", "INT8", "nvfp4", "float16", "auto", "")
    assert [plain_format(name) for name in names] == [Dtype.FP8, Dtype.INT8, Dtype.FP4, Dtype.FP16, None, None]
