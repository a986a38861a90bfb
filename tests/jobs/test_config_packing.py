"""How published configurations say that weights are stored."""

from __future__ import annotations

import json
from typing import Any

import pytest

from planner.hardware.gpu import Dtype
from planner.jobs.config_packing import Stored, stored_from_config


def read(**said: Any) -> Stored:
    return stored_from_config(json.dumps({"model_type": "llama", "quantization_config": said}))


@pytest.mark.parametrize(
    ("said", "bits"),
    [
        ({"quant_method": "gptq", "bits": 4, "group_size": 128}, 4 + 20 / 128),
        ({"quant_method": "gptq", "bits": 8, "group_size": -1}, 8),
        ({"quant_method": "awq", "bits": 4, "group_size": 64, "zero_point": True}, 4 + 20 / 64),
        ({"quant_method": "bitsandbytes", "load_in_4bit": True}, 4.5),
        ({"quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_use_double_quant": True}, 4.127),
        ({"quant_method": "bitsandbytes", "load_in_8bit": True}, 8),
        ({"quant_method": "mxfp4", "modules_to_not_convert": ["lm_head"]}, 4.25),
        (
            {
                "quant_method": "compressed-tensors",
                "config_groups": {"group_0": {"weights": {"num_bits": 4, "type": "int", "group_size": 128}}},
            },
            4 + 20 / 128,
        ),
    ],
)
def test_bits_of_a_weight_count_their_scales(said: dict[str, Any], bits: float) -> None:
    found = read(**said)
    assert found.weight_bits == pytest.approx(bits, rel=1e-3)
    assert found.dtype is None


def test_eight_bit_arithmetic_is_the_format_of_the_job() -> None:
    assert read(quant_method="fp8", weight_block_size=[128, 128]) == Stored(dtype=Dtype.FP8)
    both = {"weights": {"num_bits": 8, "type": "int"}, "input_activations": {"num_bits": 8}}
    assert read(quant_method="compressed-tensors", config_groups={"group_0": both}) == Stored(dtype=Dtype.INT8)


def test_a_configuration_that_says_nothing_stores_as_its_format() -> None:
    assert stored_from_config("{}") == Stored()


@pytest.mark.parametrize(
    "said", [{"quant_method": "aqlm"}, {"quant_method": "gptq", "bits": "four"}, {"quant_method": "compressed-tensors"}]
)
def test_an_unknown_way_is_refused_by_name(said: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"how {said['quant_method']} stores weights is not known"):
        read(**said)
