"""Settings come from the environment and are refused by name."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from planner.errors import InvalidInput
from planner.settings import DEFAULT_PORT, Settings


def test_defaults_listen_on_loopback_with_sqlite_in_home(tmp_path: Path) -> None:
    settings = Settings.from_env({"PLANNER_HOME": str(tmp_path)})
    assert (settings.host, settings.port) == ("127.0.0.1", DEFAULT_PORT)
    assert settings.database_url == f"sqlite:///{tmp_path / 'planner.sqlite3'}"


@pytest.mark.parametrize("host", ["0.0.0.0", "example.org", "192.168.0.4", "::"])
def test_listening_beyond_this_machine_is_refused_with_the_reason(host: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"PLANNER_HOST: .*no accounts yet"):
        Settings.from_env({"PLANNER_HOME": str(tmp_path), "PLANNER_HOST": host})


@pytest.mark.parametrize("port", ["0", "65536", "http", "-1", "８０"])
def test_a_port_that_is_none_is_refused(port: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"PLANNER_PORT: .*1 to 65535"):
        Settings.from_env({"PLANNER_HOME": str(tmp_path), "PLANNER_PORT": port})


def test_an_unknown_log_level_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="PLANNER_LOG_LEVEL"):
        Settings.from_env({"PLANNER_HOME": str(tmp_path), "PLANNER_LOG_LEVEL": "loud"})


@pytest.mark.parametrize(
    "name", ["localhost", "127.0.0.1", "planner.example.com:443", "https://x", "-x", "a..b", "x" * 300]
)
def test_a_server_name_that_is_none_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="PLANNER_SERVER_NAME"):
        Settings.from_env({"PLANNER_HOME": str(tmp_path), "PLANNER_SERVER_NAME": name})


def test_a_server_name_is_kept_in_small_letters_when_the_key_is_made(tmp_path: Path) -> None:
    settings = Settings.from_env({"PLANNER_HOME": str(tmp_path), "PLANNER_SERVER_NAME": "Planner.Example.com"})
    assert settings.with_secret().server_name == "planner.example.com"


def test_the_signing_key_is_made_once_and_readable_by_its_owner_only(tmp_path: Path) -> None:
    settings = Settings.from_env({"PLANNER_HOME": str(tmp_path / "new")})
    first, second = settings.with_secret(), settings.with_secret()
    assert first.secret_key == second.secret_key
    assert len(first.secret_key) == 64
    assert stat.S_IMODE((tmp_path / "new" / "secret-key").stat().st_mode) == 0o600


def test_a_given_signing_key_is_not_written_to_disk(tmp_path: Path) -> None:
    settings = Settings.from_env({"PLANNER_HOME": str(tmp_path), "PLANNER_SECRET_KEY": "given"})
    assert settings.with_secret().secret_key == "given"
    assert list(tmp_path.iterdir()) == []
