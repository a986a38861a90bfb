"""Serve the pages with gunicorn: one process with threads, on this machine only."""

from __future__ import annotations

from typing import Any

from gunicorn.app.base import BaseApplication

from planner.settings import Settings
from planner.web.app import create_app

THREADS = 8


class _Server(BaseApplication):
    """gunicorn without a command line or a configuration file of its own."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        super().__init__()

    def load_config(self) -> None:
        host = f"[{self._settings.host}]" if ":" in self._settings.host else self._settings.host
        options: dict[str, Any] = {
            "bind": f"{host}:{self._settings.port}",
            "workers": 1,
            "threads": THREADS,
            "worker_class": "gthread",
            "control_socket_disable": True,
            "loglevel": "warning",
            "graceful_timeout": 5,
        }
        for name, value in options.items():
            self.cfg.set(name, value)

    def load(self) -> Any:
        return create_app(self._settings)


def serve_pages(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT."""
    _Server(settings).run()
