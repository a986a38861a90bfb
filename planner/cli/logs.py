"""The log of a command: one readable line per event on standard error, in UTC, with a traceback for a fault."""

from __future__ import annotations

import logging
import sys
from typing import TextIO

import structlog
from structlog.typing import Processor


def log_to_standard_error(level: str) -> None:
    """Log lines from `level` up go beside the answer, never into it: standard output may be read as JSON.

    Libraries that use Python's own logging (APScheduler, alembic) are heard from warnings up, in the same form.
    Tracebacks are plain: structlog's own choice shows local variables too, and passwords and keys are among them.
    """
    renderer = structlog.dev.ConsoleRenderer(
        colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
    )
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="%Y-%m-%dT%H:%M:%SZ", utc=True),
    ]
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),  # the stream of that moment
    )
    handler = _StandardError(max(logging.WARNING, logging.getLevelNamesMapping()[level]))
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    for before in [found for found in root.handlers if isinstance(found, _StandardError)]:
        root.removeHandler(before)
    root.addHandler(handler)


class _StandardError(logging.StreamHandler[TextIO]):
    """Writes to whatever standard error is at that moment."""

    def __init__(self, level: int) -> None:
        logging.Handler.__init__(self, level)

    @property
    def stream(self) -> TextIO:  # type: ignore[override]
        return sys.stderr
