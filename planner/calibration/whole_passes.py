"""Whole passes of other shapes than a suite's own transformer, so that a fit tells shapes apart and knows its error.

What a pass takes beyond its operations goes by their shapes; one shape alone cannot tell how. So the standard suite
also runs a narrow and a wide transformer, and networks of other families, larger and smaller.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from planner.calibration.sample import Operation

Order = tuple[Operation, dict[str, int]]  # what to run, and its parameters


@dataclass(frozen=True, slots=True)
class Base:
    """A suite's own networks: parameters of its transformer, vision transformer and convolutional network, the sequence
    and micro-batch of its smallest training step, and pictures per step."""

    shape: Mapping[str, int]
    vit: Mapping[str, int]
    cnn: Mapping[str, int]
    sequence: int
    micro_batch: int
    pictures: int


def training_passes(base: Base) -> Iterator[Order]:
    """Training steps in the working format, each family at several shapes and sizes."""
    narrow, wide = _narrow(base.shape), _wide(base.shape)
    sequence, batch = base.sequence, base.micro_batch
    for shape, length, number in (
        (base.shape, sequence, 4 * batch),
        (base.shape, 4 * sequence, batch),
        (narrow, sequence, 2 * batch),
        (narrow, 2 * sequence, 4 * batch),
        (wide, sequence, batch),
        (wide, 2 * sequence, 2 * batch),
    ):
        yield Operation.TRAIN_STEP, {**shape, "sequence": length, "micro_batch": number}
    for shape, number in ((narrow, 4 * batch), (base.shape, 3 * batch)):
        inside = {"kv_heads": shape["heads"], "gated": 0, "sequence": sequence, "micro_batch": number}
        yield Operation.ENCODER_STEP, {**shape, **inside}
    experts = {"experts": 8, "experts_per_token": 2, "ffn": narrow["ffn"] // 4}
    yield Operation.MOE_STEP, {**narrow, **experts, "sequence": sequence, "micro_batch": 4 * batch}
    for vit, number in ((_narrow(base.vit), 2 * base.pictures), (_wide(base.vit), base.pictures)):
        yield Operation.VIT_STEP, {**vit, "vocab": base.vit["vocab"], "batch": number}
    for cnn, number in _convolutional(base):
        yield Operation.CNN_STEP, {**cnn, "batch": number}


def more_training_passes(base: Base) -> Iterator[Order]:
    """More of them: the further shapes and sizes are measured, the less hangs on each, which neighbours may disturb."""
    narrow, wide = _narrow(base.shape), _wide(base.shape)
    sequence, batch = base.sequence, base.micro_batch
    yield Operation.TRAIN_STEP, {**narrow, "sequence": 4 * sequence, "micro_batch": batch}
    yield Operation.TRAIN_STEP, {**wide, "sequence": 3 * sequence, "micro_batch": batch}
    inside = {"kv_heads": wide["heads"], "gated": 0, "sequence": 2 * sequence, "micro_batch": batch}
    yield Operation.ENCODER_STEP, {**wide, **inside}
    yield Operation.RECOMPUTE_STEP, {**narrow, "sequence": 2 * sequence, "micro_batch": 2 * batch}
    yield Operation.VIT_STEP, {**base.vit, "batch": 3 * base.pictures}
    for cnn, number in _more_convolutional(base):
        yield Operation.CNN_STEP, {**cnn, "batch": number}


def products_within(base: Base) -> Iterator[Order]:
    """The products that such steps consist of: forward, and the gradients of inputs and of weights, whose inner size is
    the number of rows and often short."""
    for shape in (base.shape, _narrow(base.shape), _wide(base.shape)):
        hidden, ffn, vocab = shape["hidden"], shape["ffn"], shape["vocab"]
        for rows in (base.sequence * base.micro_batch, 4 * base.sequence * base.micro_batch):
            for columns, inner in ((hidden, hidden), (2 * ffn, hidden), (hidden, ffn), (vocab, hidden)):
                for m, n, k in ((rows, columns, inner), (rows, inner, columns), (columns, inner, rows)):
                    yield Operation.MATMUL, {"m": m, "n": n, "k": k}


def plain_passes(base: Base) -> Iterator[Order]:
    """Training steps in a second format: the narrow and the wide transformer once."""
    for shape, number in ((_narrow(base.shape), 2), (_wide(base.shape), 1)):
        yield Operation.TRAIN_STEP, {**shape, "sequence": base.sequence, "micro_batch": number * base.micro_batch}


def forward_passes(base: Base) -> Iterator[Order]:
    """Prompts, decoding steps and pictures between and beyond the sizes of the quick suite, and of other shapes."""
    narrow, wide = _narrow(base.shape), _wide(base.shape)
    for shape, sequence, batch in (
        (base.shape, base.sequence, 1),
        (base.shape, base.sequence, 4),
        (base.shape, 8 * base.sequence, 1),
        (narrow, 2 * base.sequence, 1),
        (wide, 2 * base.sequence, 1),
    ):
        yield Operation.PREFILL, {**shape, "sequence": sequence, "batch": batch}
    for shape, context, batch in (
        (base.shape, 3 * base.sequence, 1),  # lengths that are no powers of two too: kernels cut keys into blocks
        (base.shape, 2 * base.sequence, 2),
        (base.shape, 2 * base.sequence, 4),
        (base.shape, 5 * base.sequence, 3),
        (base.shape, 3 * base.sequence, 8),
        (base.shape, 7 * base.sequence, 6),
        (base.shape, 4 * base.sequence, 16),
        (base.shape, 12 * base.sequence, 2),
        (base.shape, 16 * base.sequence, 4),
        (narrow, 2 * base.sequence, 4),
        (wide, 2 * base.sequence, 4),
    ):
        yield Operation.DECODE, {**shape, "context": context, "batch": batch}
    yield Operation.VIT_FORWARD, {**_narrow(base.vit), "vocab": base.vit["vocab"], "batch": base.pictures}
    for cnn, number in _convolutional(base):
        yield Operation.CNN_FORWARD, {**cnn, "batch": number}


def _narrow(shape: Mapping[str, int]) -> dict[str, int]:
    """Half as wide and half as deep again."""
    return _scaled(shape, 1, 2) | {"layers": shape["layers"] * 3 // 2}


def _wide(shape: Mapping[str, int]) -> dict[str, int]:
    """Half as wide again, half as deep; as many words, of which there would be too many to be quick."""
    return _scaled(shape, 3, 2) | {"layers": shape["layers"] // 2, "vocab": shape["vocab"]}


def _scaled(shape: Mapping[str, int], times: int, over: int) -> dict[str, int]:
    """Heads keep their width, and as many of them share keys and values."""
    widths = ("hidden", "heads", "kv_heads", "ffn", "vocab")
    return {**shape, **{name: shape[name] * times // over for name in widths}}


def _convolutional(base: Base) -> tuple[tuple[dict[str, int], int], ...]:
    """Twice as wide on pictures half as large, shallower; and the suite's own on more pictures."""
    wide = {**base.cnn, "width": 2 * base.cnn["width"], "image": base.cnn["image"] // 2, "blocks": 1}
    return (wide, 2 * base.pictures), (dict(base.cnn), 3 * base.pictures)


def _more_convolutional(base: Base) -> tuple[tuple[dict[str, int], int], ...]:
    """Deep on small pictures, shallow on large ones, and widths that are no powers of two, which libraries fill up."""
    width, image = base.cnn["width"], base.cnn["image"]
    return (
        ({**base.cnn, "width": width * 5 // 4, "image": image * 5 // 4, "blocks": 1}, base.pictures),
        ({**base.cnn, "width": width * 5 // 2, "image": image * 3 // 4, "blocks": 1}, 2 * base.pictures),
        ({**base.cnn, "width": 2 * width, "blocks": 1}, base.pictures * 3 // 2),
        ({**base.cnn, "image": image // 2, "blocks": 3}, 4 * base.pictures),
    )
