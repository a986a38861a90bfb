"""What can be asked of inference: requests answered token by token, or items in a pass each."""

from __future__ import annotations

from typing import Annotated, Any

from planner.errors import FieldProblem, InvalidInput
from planner.estimates.layout import served_layout_faults
from planner.hardware.gpu import Dtype
from planner.jobs.architecture import Transformer
from planner.jobs.config_packing import Stored
from planner.jobs.convnet import ConvNet
from planner.jobs.engine import Engine
from planner.jobs.job import InferenceJob, Item
from planner.jobs.known.pictures import Picture, drawing_rows
from planner.services.requests.base import count, duration, whole
from planner.services.requests.networks import NetworkRequest, require

SERVED_LAYOUT = ("tensor_parallel", "pipeline_parallel", "expert_parallel")  # those that serving has too
PASSED = ("answer_within", "frame_rate", "steps")  # of what is answered in passes alone
ANSWERED = (
    *("prompt_tokens", "output_tokens", "requests", "concurrency", "kv_dtype", "engine", "weight_bits"),
    *PASSED,
)


class ServedRequest(NetworkRequest):
    """A network that answers, how much of what, and how it is split."""

    dtype: Dtype | None = None
    prompt_tokens: Annotated[int, *whole(1, 100_000_000)] | None = None
    output_tokens: Annotated[int, *whole(0, 100_000_000)] | None = None
    requests: Annotated[float, *count(1, 1e15)] | None = None
    concurrency: Annotated[int, *whole(1, 1_000_000)] | None = None
    kv_dtype: Dtype | None = None
    engine: Engine | None = None
    weight_bits: Annotated[float, *count(1, 32)] | None = None
    answer_within: Annotated[float, *duration(1e-6, 1e6)] | None = None
    frame_rate: Annotated[float, *count(1e-3, 10_000)] | None = None
    steps: Annotated[int, *whole(1, 1_000)] | None = None

    tensor_parallel: Annotated[int, *whole(1, 1_000)] | None = None
    pipeline_parallel: Annotated[int, *whole(1, 1_000)] | None = None
    expert_parallel: Annotated[int, *whole(1, 1_000)] | None = None

    def served_job(self, network: Transformer | Picture, base: InferenceJob | None) -> InferenceJob:
        """The job that is meant; what is not given is that of `base` where it answers the like. Raises InvalidInput."""
        is_pass = isinstance(network, Picture) or self._is_embedded(network, base)
        is_alike = base is not None and base.is_pass == is_pass and _is_seen(base) == isinstance(network, Picture)
        base = base if is_alike else None
        job = self._pass_job(network, base) if is_pass else self._answering_job(network, base)
        architecture = job.architecture
        problems = [FieldProblem(name, message) for name, message in served_layout_faults(job)]
        is_pair = isinstance(architecture, Transformer) and architecture.encoder_layers > 0  # positions of each half
        length = max(job.prompt_tokens, job.output_tokens) if is_pair else job.prompt_tokens + job.output_tokens
        if not isinstance(network, Picture):
            check_context(problems, "prompt_tokens", length, architecture, is_whole=not is_pass)
        if problems:
            raise InvalidInput(problems)
        return job

    def _is_embedded(self, network: Transformer, base: InferenceJob | None) -> bool:
        """Whether texts are read in one pass: by encoders always, by others where no token is to be written."""
        written = self.output_tokens
        if not network.causal and not network.encoder_layers:
            if written:
                raise InvalidInput.of("output_tokens", f"{network.name} is an encoder, which writes none; leave it out")
            return True
        if written is None and base is not None:
            written = base.output_tokens
        if written == 0 and network.encoder_layers:
            raise InvalidInput.of("output_tokens", f"{network.name} reads to write: at least 1 token")
        return written == 0

    def _answering_job(self, network: Transformer | Picture, base: InferenceJob | None) -> InferenceJob:
        """Token by token."""
        if isinstance(network, Picture):
            raise ValueError("pictures are answered in passes")
        self.refuse(PASSED, f"{network.name}, which answers token by token")
        if base is None:
            require(self, ("prompt_tokens", "output_tokens"), "an inference job needs it")
        return InferenceJob(
            name=self.name or (base.name if base else f"Serve {network.name}"),
            architecture=network,
            prompt_tokens=pick(self.prompt_tokens, base and base.prompt_tokens),
            output_tokens=pick(self.output_tokens, base and base.output_tokens),
            engine=pick(self.engine, base and base.engine, Engine.UNSTATED),
            **self._served(base),
        )

    def _pass_job(self, network: Transformer | Picture, base: InferenceJob | None) -> InferenceJob:
        """One pass for each item, or so many for a drawing."""
        if isinstance(network, Picture):
            self.refuse(("prompt_tokens", "kv_dtype"), "networks for pictures")
            if self.output_tokens:
                raise InvalidInput.of("output_tokens", "does not belong to networks for pictures; leave it out")
            architecture, positions = network.architecture, network.positions
        else:
            self.refuse(("kv_dtype",), "texts that are read in one pass")
            if base is None:
                require(self, ("prompt_tokens",), "the tokens of a text")
            architecture, positions = network, pick(self.prompt_tokens, base and base.prompt_tokens)
        rows = drawing_rows(architecture) if isinstance(network, Picture) else None
        if rows is None:
            self.refuse(("steps",), f"{architecture.name}, which does not draw")
        elif base is None or base.item is not Item.DRAWING:
            require(self, ("steps",), "a drawing takes so many")
        rate = self.frame_rate or (base.frame_rate if base else None)
        item = Item.DRAWING if rows else Item.TEXT if not isinstance(network, Picture) else Item.PICTURE
        if rate is not None:
            if item is not Item.PICTURE:
                raise InvalidInput.of("frame_rate", f"belongs to pictures, not to {item.value}s; leave it out")
            item = Item.FRAME
        is_sight = isinstance(network, Picture) and isinstance(architecture, Transformer)
        return InferenceJob(
            name=self.name or (base.name if base else f"Answer with {architecture.name}"),
            architecture=architecture,
            prompt_tokens=positions,
            output_tokens=0,
            engine=pick(self.engine, base and base.engine, Engine.TENSORRT),
            head_share=1.0 / positions if is_sight and rows is None else 0.0,
            item=item,
            passes=pick(self.steps, base and base.passes, 1) if rows else 1,
            rows=rows or 1,
            answer_seconds=self.answer_within or (base.answer_seconds if base else None),
            frame_rate=rate,
            **self._served(base),
        )

    def _served(self, base: InferenceJob | None) -> dict[str, Any]:
        """What jobs of tokens and of passes have alike."""
        splits = {name: getattr(self, name) or (getattr(base, name) if base else None) for name in SERVED_LAYOUT}
        stored = self.stored() if self.weight_bits is None else Stored()
        return {
            "num_requests": self.requests or (base.num_requests if base else None),
            "concurrency": self.concurrency or (base.concurrency if base else None),
            "dtype": pick(self.dtype, stored.dtype, base and base.dtype, Dtype.BF16),
            "kv_dtype": self.kv_dtype or (base.kv_dtype if base else None),
            "weight_bits": self.weight_bits or stored.weight_bits or (base.weight_bits if base else None),
            **splits,
        }

    def refuse(self, names: tuple[str, ...], kind: str) -> None:
        """Raise InvalidInput for those of the fields that were given."""
        problems = [
            FieldProblem(name, f"does not belong to {kind}; leave it out")
            for name in names
            if getattr(self, name) is not None
        ]
        if problems:
            raise InvalidInput(problems)


def _is_seen(job: InferenceJob) -> bool:
    """Whether what it answers are pictures."""
    return job.item in (Item.PICTURE, Item.FRAME, Item.DRAWING)


def check_context(
    problems: list[FieldProblem],
    field: str,
    length: int,
    architecture: Transformer | ConvNet,
    *,
    is_whole: bool = False,
) -> None:
    """Add the fault of a text that is longer than the network's positions; `is_whole`: of prompt and output."""
    limit = architecture.max_positions
    if limit is not None and length > limit:
        what = "prompt and output together are" if is_whole else "is"
        problems.append(
            FieldProblem(field, f"{what} {length:,} tokens, more than the {limit:,} of {architecture.name}")
        )


def pick(*values: Any) -> Any:
    """The first value that was given."""
    return next(value for value in values if value is not None)
