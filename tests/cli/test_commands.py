"""The command line: answers as JSON, an example in every help, and exit codes that scripts can use."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import pytest

from planner.cli import main
from planner.cli.commands import COMMANDS
from planner.cli.main import planner
from planner.services.devices import record_discovery
from planner.services.offers import sync_price_book
from planner.settings import Settings
from planner.store.engine import make_engine, session_factory
from tests.builders import NOW, discovery


@pytest.fixture
def run(settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Run the command line in this process, on a database with devices and prices: (code, output, errors)."""
    monkeypatch.setenv("PLANNER_HOME", str(settings.home))
    monkeypatch.setenv("PLANNER_DATABASE_URL", settings.database_url)
    engine = make_engine(settings.database_url)
    with session_factory(engine).begin() as session:
        record_discovery(session, discovery(), NOW)
        sync_price_book(session, NOW)
    engine.dispose()

    def call(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(list(arguments))
        captured = capsys.readouterr()
        return int(ended.value.code or 0), captured.out, captured.err

    return call


def every_command(group: click.Group, path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], click.Command]]:
    found: list[tuple[tuple[str, ...], click.Command]] = []
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        found.append(((*path, name), command))
        if isinstance(command, click.Group):
            found.extend(every_command(command, (*path, name)))
    return found


def test_the_list_of_commands_says_what_each_says_of_itself() -> None:
    context = click.Context(planner)
    for name, entry in COMMANDS.items():
        command = planner.get_command(context, name)
        assert command is not None
        assert command.name == name
        assert entry.words == " ".join((command.help or "").split("\n\n")[0].split())


def test_the_promised_commands_are_there() -> None:
    names = {path[0] for path, _ in every_command(planner)}
    assert {"run", "serve", "worker", "calibrate", "estimate", "prices", "devices", "db"} <= names


def test_every_command_says_what_it_does_with_an_example() -> None:
    for path, command in every_command(planner):
        assert command.help, path
        assert isinstance(command, click.Group) or "Example: " in (command.epilog or ""), path


def test_devices_are_listed_as_json(run: Any) -> None:
    code, output, _ = run("devices", "--json")
    assert code == 0
    found = json.loads(output)["devices"]
    assert {device["backend"] for device in found} == {"cuda", "cpu"}
    cpu = next(device for device in found if device["backend"] == "cpu")
    assert cpu["power_limit_watts"] is None
    assert cpu["unknown"]["power_limit_watts"]


def test_prices_are_listed_as_json_with_exact_amounts(run: Any) -> None:
    code, output, _ = run("prices", "--json", "--provider", "aws", "--kind", "on_demand", "--limit", "3")
    assert code == 0
    for item in json.loads(output)["prices"]:
        assert isinstance(item["price"]["amount"], str)
        assert item["price"]["source_date"]


def test_an_estimate_is_stored_and_shown_again_unchanged(run: Any) -> None:
    code, output, _ = run("estimate", "--preset", "finetune-small", "--offer-kinds", "on_demand", "--json")
    assert code == 0
    made = json.loads(output)
    code, again, _ = run("estimate", "--show", made["id"], "--json")
    assert code == 0
    assert json.loads(again) == made


def test_a_configuration_is_taken_from_its_file_and_vendors_by_any_letters(run: Any, tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    shape = {"hidden_size": 64, "intermediate_size": 128, "num_attention_heads": 4, "num_hidden_layers": 2}
    path.write_text(json.dumps({"model_type": "llama", "vocab_size": 1000, **shape}))
    asked = ("--kind", "inference", "--prompt-tokens", "64", "--output-tokens", "8", "--vendors", "amd")
    code, output, _ = run("estimate", "--config", str(path), *asked, "--json")
    assert code == 0
    assert {option["placement"]["gpu"]["vendor"] for option in json.loads(output)["answer"]["options"]} == {"AMD"}
    code, _, errors = run("estimate", "--config", str(tmp_path / "gone.json"), *asked)
    assert (code, "cannot be read: No such file" in errors) == (2, True)


def test_a_job_that_fits_nowhere_says_what_is_lacking(run: Any) -> None:
    code, output, _ = run("estimate", "--preset", "finetune-llama-3-8b", "--gpus", "L4", "--deadline", "1 s")
    assert code == 6
    assert "lack memory, as 4 × L4" in output
    assert "lack deadline, as 8 × L4" in output


def test_an_estimate_is_printed_for_people(run: Any) -> None:
    code, output, _ = run("estimate", "--preset", "serve-small", "--gpus", "L4")
    assert code == 0
    assert "L4" in output
    assert "prices as of" in output


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("estimate", "--preset", "nothing"), 2, "preset: 'nothing' is not known"),
        (("estimate", "--preset", "finetune-small", "--tokens", "lots"), 2, "tokens: 'lots' is not a count"),
        (("estimate", "--preset", "finetune-small", "--gpus", "H100"), 2, "H100-80GB-SXM"),
        (("estimate", "--preset", "finetune-small", "--providers", "amazon"), 2, "providers: 'amazon' is not known"),
        (("estimate", "--show", "01ARZ3NDEKTSV4RRFFQ69G5FAV"), 3, "there is no estimate"),
        (("prices", "--kind", "barter"), 2, "kind: must be"),
        (("prices", "--limit", "0"), 2, "limit: must be at least 1"),
        (("prices", "--as-of", "yesterday"), 2, "as_of: must be a moment"),
        (("calibrate", "--device", "nobody"), 3, "no device 'nobody'"),
        (("calibrate", "--suite", "endless"), 2, "suite: there is no suite 'endless'"),
        (("devices", "--colour"), 2, "No such option"),
        (("dance",), 2, "No such command"),
    ],
)
def test_bad_arguments_are_refused_by_name_with_a_code(
    run: Any, arguments: tuple[str, ...], code: int, words: str
) -> None:
    got, output, errors = run(*arguments)
    assert got == code, errors
    assert words in errors
    assert output == ""


def test_errors_are_json_where_json_was_asked_for(run: Any) -> None:
    code, _, errors = run("estimate", "--preset", "finetune-small", "--goal", "fame", "--json")
    assert code == 2
    assert json.loads(errors)["errors"] == [{"field": "goal", "message": "must be 'cost' or 'time', not 'fame'"}]


def test_nothing_that_fits_has_an_exit_code_of_its_own(run: Any) -> None:
    code, output, _ = run("estimate", "--preset", "finetune-small", "--gpus", "L4", "--budget", "0.0001", "--json")
    assert code == 6
    found = json.loads(output)["answer"]
    assert found["options"] == []
    assert {item["bottleneck"] for item in found["rejections"]} >= {"budget"}


def test_an_empty_database_is_refused_with_the_remedy_that_helps(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLANNER_DATABASE_URL", f"sqlite:///{tmp_path / 'new.sqlite3'}")
    code, _, errors = run("devices")
    assert code == 5
    assert "planner db upgrade" in errors
    assert run("db", "upgrade", "--json")[0] == 0
    assert run("devices")[0] == 0


def test_a_plan_of_calibration_is_shown_without_measuring(run: Any) -> None:
    code, output, _ = run("calibrate", "--plan-only", "--suite", "smoke", "--json")
    assert code == 0
    plan = json.loads(output)["plans"][0]
    assert plan["num_benches"] == len(plan["benches"]) > 0
    assert 0 < plan["expected_seconds"] < plan["time_limit_seconds"]


def test_service_is_sized_from_a_file_and_a_trace(run: Any, tmp_path: Path) -> None:
    question, trace = tmp_path / "question.json", tmp_path / "trace.csv"
    asked = {"architecture": "llama-3-8b", "first_token": "1 s", "gpus": ["H100-80GB-SXM"], "spare": 1}
    question.write_text(json.dumps({**asked, "prompt_tokens": 512, "output_tokens": 64, "rate": 5}))
    code, output, errors = run("size", str(question), "--json")
    assert code == 0, errors
    found = json.loads(output)
    assert "spare) replicas" in found["sentence"]
    question.write_text(json.dumps(asked))
    lines = [f"{second},{300 + second},{20 + second}" for second in range(50)]
    trace.write_text("arrival_seconds,prompt_tokens,output_tokens\n" + "\n".join(lines))
    code, output, errors = run("size", str(question), "--trace", str(trace))
    assert code == 0, errors
    assert "first token" in output
    question.write_text("{}")
    assert run("size", str(question))[0] == 2
    question.write_text(
        json.dumps({**asked, "prompt_tokens": 9, "output_tokens": 9, "rate": 1, "first_token": "20 us"})
    )
    code, output, _ = run("size", str(question), "--json")
    assert code == 6
    assert "below the floor" in json.loads(output)["sentence"]


def test_frames_are_sized_from_a_file(run: Any, tmp_path: Path) -> None:
    question = tmp_path / "question.json"
    asked = {"network": "YOLOv5m", "cameras": 16, "frame_rate": 30, "deadline": "50 ms", "gpus": ["L4"]}
    question.write_text(json.dumps(asked))
    code, output, errors = run("size", str(question), "--json")
    assert code == 0, errors
    assert json.loads(output)["item"] == "frame"
    code, output, _ = run("size", str(question))
    assert code == 0
    assert "ways keep the deadline" in output
    assert run("size", str(question), "--trace", str(question))[0] == 2


def test_training_and_inference_are_compared(run: Any) -> None:
    code, output, errors = run("press", "--architecture", "llama-3-8b", "--gpu", "L4", "--json")
    assert code == 0, errors
    assert json.loads(output)["gpus"][0]["more_arithmetic"] == "training"
    code, output, _ = run("press", "--architecture", "llama-3-8b", "--gpu", "L4")
    assert "presses the arithmetic" in output
    assert run("press", "--architecture", "nothing")[0] == 2
