"""What can be asked of training against inference: an architecture, both workloads, and the GPUs to hold it on."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from planner.errors import FieldProblem, InvalidInput
from planner.estimates.load.pressure import TRAINED_IN, Question
from planner.hardware.gpu import Dtype
from planner.jobs.huggingface import MAX_CHARACTERS
from planner.services.requests.base import Key, Keys, Request, field_problem, whole
from planner.services.requests.estimate import EstimateRequest
from planner.services.requests.networks import generating


class PressureRequest(Request):
    """Ask which presses a GPU harder, training a model or serving it.

    A training step is `batch` sequences of `sequence_length` tokens; serving is `concurrency` requests at a time of
    `prompt_tokens` in and `output_tokens` out, all in `dtype`. `gpus` are models of the catalogue (left out: some
    usual ones); attached devices are always among them.
    """

    architecture: Key | None = None
    config: Annotated[str, Field(min_length=2, max_length=MAX_CHARACTERS)] | None = None
    dtype: Dtype = Dtype.BF16
    sequence_length: Annotated[int, *whole(1, 10_000_000)] = 2_048
    batch: Annotated[int, *whole(1, 100_000)] = 8
    prompt_tokens: Annotated[int, *whole(1, 10_000_000)] = 1_024
    output_tokens: Annotated[int, *whole(2, 10_000_000)] = 256
    concurrency: Annotated[int, *whole(1, 100_000)] = 32
    gpus: Keys = ()

    @model_validator(mode="after")
    def _one_model(self) -> PressureRequest:
        if self.architecture is None and self.config is None:
            raise field_problem("architecture", "is needed: name one, or give a config")
        if self.dtype not in TRAINED_IN:
            formats = ", ".join(dtype.value for dtype in TRAINED_IN)
            raise field_problem("dtype", f"{self.dtype.value} is for inference alone; compare in one of {formats}")
        return self

    def question(self) -> Question:
        """Both workloads. Raises InvalidInput for a model that is not known, or sequences that it cannot hold."""
        asked = EstimateRequest(
            kind="inference",
            architecture=self.architecture,
            config=self.config,
            dtype=self.dtype,
            prompt_tokens=self.prompt_tokens,
            output_tokens=self.output_tokens,
        )
        network = generating(asked.network(None))
        asked.job()  # refuses what no hardware could serve
        if network.max_positions is not None and self.sequence_length > network.max_positions:
            message = f"{self.sequence_length:,} tokens are more than the {network.max_positions:,} of {network.name}"
            raise InvalidInput([FieldProblem("sequence_length", message)])
        return Question(
            network,
            self.dtype,
            self.sequence_length,
            self.batch,
            self.prompt_tokens,
            self.output_tokens,
            self.concurrency,
        )
