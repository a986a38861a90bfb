"""Making training batches ready on the host: pictures read from a file, cut, turned and scaled to floats."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor

from planner.calibration.sample import Bench
from planner.calibration.theory import CHANNELS
from planner.gpu.benches.accelerator import Accelerator
from planner.gpu.benches.prepared import Prepared, require_close

STORED_TO_CUT = 8 / 7  # pictures are stored a little larger than they are cut, as 256 to 224
NUM_STORED = 64
MEAN, SPREAD = 0.45, 0.22  # about those of natural pictures; what they are changes no time


def prepare(bench: Bench, accelerator: Accelerator) -> Prepared:
    """Batches of `batch` pictures, cut to `image` × `image` by `workers` threads of this process.

    Decoding of compressed pictures is not in it: it goes by the format, and many keep their data decoded.
    """
    batch, image, workers = (bench.parameters[name] for name in ("batch", "image", "workers"))
    stored_size = round(image * STORED_TO_CUT)
    file = tempfile.TemporaryFile()  # noqa: SIM115 - closed when the bench is over
    random = np.random.default_rng(accelerator.generator.initial_seed() % 2**32)
    stored = random.integers(0, 256, (NUM_STORED, stored_size, stored_size, CHANNELS), dtype=np.uint8)
    file.write(stored.tobytes())
    file.flush()
    check(stored[0], image)
    pool = ThreadPoolExecutor(workers)
    size = stored[0].nbytes

    def one(_: int) -> Tensor:
        place, top, left = random.integers(0, (NUM_STORED, stored_size - image + 1, stored_size - image + 1))
        file_bytes = bytearray(_read(file.fileno(), size, int(place) * size))
        picture = torch.frombuffer(file_bytes, dtype=torch.uint8).view(stored_size, stored_size, CHANNELS)
        return ready(picture, int(top), int(left), image, bool(random.integers(2)))

    def call() -> Tensor:
        return torch.stack(list(pool.map(one, range(batch))))

    @contextmanager
    def open_while_measured() -> Iterator[None]:
        try:
            yield
        finally:
            pool.shutdown()
            file.close()

    return Prepared([call], open_while_measured())


def ready(picture: Tensor, top: int, left: int, size: int, mirrored: bool) -> Tensor:
    """A float picture [3, size, size] cut from a stored one [H, W, 3], perhaps mirrored, scaled to about ±2."""
    cut = picture[top : top + size, left : left + size].permute(2, 0, 1)
    if mirrored:
        cut = cut.flip(2)
    return cut.contiguous().float().div_(255.0).sub_(MEAN).div_(SPREAD)


def check(stored: np.ndarray[tuple[int, ...], np.dtype[np.uint8]], image: int) -> None:
    """Compare one picture with float64."""
    result = ready(torch.from_numpy(stored), 1, 2, image, True)
    cut = stored[1 : 1 + image, 2 : 2 + image][:, ::-1].astype(np.float64)
    reference = torch.from_numpy(np.ascontiguousarray((cut / 255.0 - MEAN) / SPREAD)).permute(2, 0, 1)
    require_close(result, reference, 1e-5, "a picture made ready")


def _read(descriptor: int, size: int, offset: int) -> bytes:
    return os.pread(descriptor, size, offset)
