"""The web process: gunicorn with threads around the app, on this machine's address only."""

from __future__ import annotations

from typing import Any

from flask import Flask
from gunicorn.app.base import BaseApplication

from planner.settings import Settings
from planner.store.engine import check_schema, make_engine
from planner.web.app import create_app

NUM_THREADS = 8
STOP_SECONDS = 5
REQUEST_SECONDS = 120


def serve_pages(settings: Settings) -> None:
    """Serve until SIGINT or SIGTERM. Raises DatabaseOutOfDate or Unavailable before anything listens."""
    engine = make_engine(settings.database_url)
    try:
        check_schema(engine)
    finally:
        engine.dispose()
    _Server(settings.with_secret()).run()


class _Server(BaseApplication):  # type: ignore[misc]
    """gunicorn without its own command line or settings files."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        super().__init__()

    def load_config(self) -> None:
        host = f"[{self.settings.host}]" if ":" in self.settings.host else self.settings.host
        options: dict[str, Any] = {
            "bind": f"{host}:{self.settings.port}",
            "worker_class": "gthread",
            "workers": 1,
            "threads": NUM_THREADS,
            "timeout": REQUEST_SECONDS,
            "graceful_timeout": STOP_SECONDS,
            "loglevel": self.settings.log_level.lower() if self.settings.log_level != "INFO" else "warning",
            "control_socket_disable": True,
            "forwarded_allow_ips": "",  # no proxy stands before it: nobody is believed about the peer
            "proc_name": "planner-serve",
        }
        for name, value in options.items():
            self.cfg.set(name, value)

    def load(self) -> Flask:
        return create_app(self.settings)
