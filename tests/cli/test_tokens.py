"""Tokens at the terminal: made, shown once, listed and ended."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.cli.test_commands import run as run


def test_a_token_is_shown_once_listed_and_ended(run: Any) -> None:
    code, secret, said = run("tokens", "add", "Finance", "--days", "30")
    assert (code, secret.startswith("planner_"), "read:costs" in said) == (0, True, True)
    code, listed, _ = run("tokens", "list", "--json")
    (token,) = json.loads(listed)["tokens"]
    assert (token["name"], token["scopes"], token["last_used_at"]) == ("Finance", ["read:costs"], None)
    assert secret.strip() not in listed
    assert secret.startswith(token["prefix"])
    assert token["id"] in run("tokens", "list")[1]
    assert run("tokens", "revoke", token["id"])[0] == 0
    assert "ended" in run("tokens", "list")[1]
    assert run("tokens", "revoke", token["id"])[0] == 3


def test_scopes_are_kept_in_their_order_and_two_tokens_differ(run: Any) -> None:
    asked = ("tokens", "add", "Both", "--scope", "read:costs", "--scope", "write:plans", "--json")
    first, second = (json.loads(run(*asked)[1]) for _ in range(2))
    assert first["token"]["scopes"] == ["read:costs", "write:plans"]
    assert first["secret"] != second["secret"]


@pytest.mark.parametrize(("days", "words"), [("0", "at least 1"), ("367", "at most 366"), ("soon", "days")])
def test_an_end_that_is_none_is_refused(days: str, words: str, run: Any) -> None:
    code, _, said = run("tokens", "add", "Finance", "--days", days)
    assert code == 2
    assert words in said


def test_a_scope_that_is_none_is_refused(run: Any) -> None:
    assert run("tokens", "add", "Finance", "--scope", "everything")[0] == 2
