"""Settings: read from the environment once, at the edge, and handed on frozen."""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from platformdirs import user_data_path

from planner.errors import InvalidInput

LOOPBACK_HOSTS = frozenset({"127.0.0.1", "::1", "localhost"})
DEFAULT_PORT = 8750
_NAME = re.compile(r"(?=.{1,253}$)[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*")
CHECKOUT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, slots=True)
class Settings:
    """Where data lies, which database, which address. Every field is one `PLANNER_…` variable (docs/settings.md)."""

    home: Path
    database_url: str
    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    secret_key: str = ""
    log_level: str = "INFO"
    server_name: str = ""

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> Settings:
        """The settings of this process; a value that cannot be used is refused by the variable's name."""
        env = os.environ if environ is None else environ
        home = Path(env.get("PLANNER_HOME") or default_home()).expanduser().resolve()
        return cls(
            home=home,
            database_url=env.get("PLANNER_DATABASE_URL") or f"sqlite:///{home / 'planner.sqlite3'}",
            host=_host(env.get("PLANNER_HOST") or "127.0.0.1"),
            port=_port(env.get("PLANNER_PORT")),
            secret_key=env.get("PLANNER_SECRET_KEY") or "",
            log_level=_log_level(env.get("PLANNER_LOG_LEVEL") or "INFO"),
            server_name=_server_name(env.get("PLANNER_SERVER_NAME") or ""),
        )

    def with_secret(self) -> Settings:
        """The same settings with a signing key: the given one, or one made once and kept in `home` (mode 600)."""
        if self.secret_key:
            return self
        path = self.home / "secret-key"
        self.home.mkdir(parents=True, exist_ok=True)
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            key = path.read_text(encoding="utf-8").strip()
        else:
            key = secrets.token_hex(32)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(key + "\n")
        return replace(self, secret_key=key)


def default_home() -> Path:
    """`var/` of the checkout this code runs from, else the user's data folder."""
    if (CHECKOUT / "pyproject.toml").is_file():
        return CHECKOUT / "var"
    return user_data_path("gpu-planner", appauthor=False)


def _host(text: str) -> str:
    if text not in LOOPBACK_HOSTS:
        raise InvalidInput.of(
            "PLANNER_HOST",
            f"{text!r} is refused: there are no accounts yet, so the service listens on this machine only "
            f"(one of {', '.join(sorted(LOOPBACK_HOSTS))}); reach it from elsewhere through an SSH tunnel",
        )
    return text


def _server_name(text: str) -> str:
    name = text.lower()
    if name and (name in LOOPBACK_HOSTS or not _NAME.fullmatch(name)):
        raise InvalidInput.of(
            "PLANNER_SERVER_NAME",
            f"{text!r} is refused: give the name under which a proxy on this machine answers for others, such as "
            "planner.example.com, without a port",
        )
    return name


def _port(text: str | None) -> int:
    if not text:
        return DEFAULT_PORT
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 65535:
        raise InvalidInput.of("PLANNER_PORT", f"{text!r} is no port; give a whole number from 1 to 65535")
    return int(text)


def _log_level(text: str) -> str:
    levels = ("DEBUG", "INFO", "WARNING", "ERROR")
    if text.upper() not in levels:
        raise InvalidInput.of("PLANNER_LOG_LEVEL", f"{text!r} is no level; give one of {', '.join(levels)}")
    return text.upper()
