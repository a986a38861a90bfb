"""Prices of providers that gpuhunt asks itself (the extra `gpuhunt`), as the CSV that its catalogues have.

gpuhunt makes its own requests, so this project's limits of hosts and sizes do not hold for them; a limit of time does.
"""

from __future__ import annotations

import csv
import importlib
import io
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any, BinaryIO

from planner.feeds.fetch import AnswerRefused, FetchError, FetchSettings
from planner.readers.gpuhunt import NEEDED

CLASSES = {  # providers that ask for no key, by their modules in gpuhunt
    "cloudrift": "CloudRiftProvider",
    "lium": "LiumProvider",
    "runpod": "RunpodProvider",
    "vastai": "VastAIProvider",
    "vultr": "VultrProvider",
}
COLUMNS = (*NEEDED, "gpu_vendor")


def pages(provider: str, settings: FetchSettings, get: Callable[[], list[Any]] | None = None) -> Iterator[BinaryIO]:
    """One page with all that gpuhunt finds. Raises FetchError where gpuhunt is missing, fails or takes too long."""
    items = _within(settings.page_seconds, get or (lambda: _provider(provider)().get()), provider)
    if not items:
        raise AnswerRefused(f"gpuhunt found no offer of {provider}: this is no price list.")
    yield as_page(items)


def as_page(items: Iterable[Any]) -> BinaryIO:
    """gpuhunt's items as its catalogue has them. A price is a float there: its shortest form is what was meant."""
    table = io.StringIO()
    writer = csv.writer(table)
    writer.writerow(COLUMNS)
    for item in items:
        vendor = "" if item.gpu_vendor is None else item.gpu_vendor.value
        values = [getattr(item, name) for name in NEEDED]
        writer.writerow(["" if value is None else str(value) for value in values] + [vendor])
    return io.BytesIO(table.getvalue().encode())


def _provider(name: str) -> Any:
    """gpuhunt's class; making one may ask the network already."""
    try:
        module = importlib.import_module(f"gpuhunt.providers.{name}")
    except ImportError:
        raise FetchError(f"Live prices of {name} need gpuhunt: install gpu-planner[gpuhunt].") from None
    return getattr(module, CLASSES[name])


def _within(seconds: float, get: Callable[[], list[Any]], provider: str) -> list[Any]:
    """What it gives; the thread of one that does not answer is left behind, since it cannot be ended."""
    found: list[list[Any]] = []
    faults: list[Exception] = []

    def ask() -> None:
        try:
            found.append(get())
        except Exception as error:  # noqa: BLE001 - another library's, on a thread: told by the caller's
            faults.append(error)

    thread = threading.Thread(target=ask, name=f"gpuhunt-{provider}", daemon=True)
    thread.start()
    thread.join(seconds)
    if faults and isinstance(faults[0], FetchError):
        raise faults[0]
    if faults:
        raise FetchError(f"gpuhunt could not read {provider}: {type(faults[0]).__name__}: {faults[0]}.")
    if not found:
        raise FetchError(f"gpuhunt did not answer for {provider} within {seconds:g} s.")
    return found[0]
