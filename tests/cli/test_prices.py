"""`planner prices`, `assets`, `rates` and `books`: from a file to the answer, as a person at a terminal would."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from planner.cli import main
from planner.services.devices import record_discovery
from planner.settings import Settings
from planner.store.engine import make_engine, session_factory
from tests.builders import NOW, discovery

HEADER = (
    "provider,region,zone,instance_type,kind,currency,gpu_name,gpu_key,num_gpus,vcpus,memory_gib,host_included,"
    "price_per_hour,valid_from,source_date,source,reason\n"
)


@pytest.fixture
def run(settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Run the command line in this process, on a database with devices and no prices: (code, output, errors)."""
    monkeypatch.setenv("PLANNER_HOME", str(settings.home))
    monkeypatch.setenv("PLANNER_DATABASE_URL", settings.database_url)
    monkeypatch.setenv("COLUMNS", "250")
    engine = make_engine(settings.database_url)
    with session_factory(engine).begin() as session:
        record_discovery(session, discovery(), NOW)
    engine.dispose()

    def call(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(list(arguments))
        captured = capsys.readouterr()
        return int(ended.value.code or 0), captured.out, captured.err

    return call


def answer(run: Any, *arguments: str) -> Any:
    code, output, errors = run(*arguments, "--json")
    assert (code, errors) == (0, "")
    return json.loads(output)


def price_file(folder: Path, *rows: str) -> str:
    path = folder / "prices.csv"
    path.write_text(HEADER + "".join(f"{row}\n" for row in rows))
    return str(path)


def row(price: str, day: str, gpu: str = "H100", key: str = "H100-80GB-SXM") -> str:
    return f"aws,us-east-1,,p5.48xlarge,on_demand,USD,{gpu},{key},8,192,2048,yes,{price},{day},{day},our list,"


def test_prices_lists_by_itself_and_by_its_name(run: Any, tmp_path: Path) -> None:
    run("prices", "import", price_file(tmp_path, row("55.04", "2026-07-20")))
    for words in (("prices",), ("prices", "list"), ("prices", "--provider", "aws"), ("prices", "list", "--limit", "5")):
        code, output, _ = run(*words)
        assert code == 0
        assert "p5.48xlarge" in output
        assert "$55.04" in output
    (found,) = answer(run, "prices", "--provider", "aws")["prices"]
    assert found["price"]["amount"] == "55.04"


def test_a_dry_run_shows_what_would_come_in_and_stores_nothing(run: Any, tmp_path: Path) -> None:
    path = price_file(tmp_path, row("55.04", "2026-07-20"), row("0", "2026-07-21"), row("1", "2026-07-20", "X", ""))
    found = answer(run, "prices", "import", path, "--dry-run")
    assert found["import_id"] is None
    assert (found["counts"]["num_new"], found["counts"]["num_rejected"]) == (1, 2)
    assert found["rejected"][0]["place"] == "line 3"
    assert "0 is not known to be meant" in found["rejected"][0]["reason"]
    assert answer(run, "prices")["prices"] == []
    code, output, _ = run("prices", "import", path, "--dry-run")
    assert code == 0
    assert "Nothing is stored (dry run): own, 3 rows: 1 new" in output


def test_a_held_price_waits_is_approved_and_the_import_is_rolled_back(run: Any, tmp_path: Path) -> None:
    run("prices", "import", price_file(tmp_path, row("98.32", "2026-01-01")))
    imported = answer(run, "prices", "import", price_file(tmp_path, row("55.04", "2026-06-23")))
    (held,) = answer(run, "prices", "held")["held"]
    assert (held["compared_with"], held["amount"], held["import_id"]) == ("98.32", "55.04", imported["import_id"])
    assert answer(run, "prices")["prices"][0]["price"]["amount"] == "98.32"
    approved = answer(run, "prices", "approve", imported["import_id"], "--rows", str(held["id"]))
    assert approved["approved"] == 1
    assert answer(run, "prices")["prices"][0]["price"]["amount"] == "55.04"
    assert answer(run, "prices", "held")["held"] == []
    answer(run, "prices", "rollback", imported["import_id"])
    assert answer(run, "prices")["prices"][0]["price"]["amount"] == "98.32"
    actions = [view["action"] for view in answer(run, "prices", "imports")["imports"]]
    assert actions == ["rollback", "approval", "import", "import"]
    code, _, errors = run("prices", "rollback", imported["import_id"])
    assert code == 4
    assert "was rolled back already" in errors


def test_a_refused_price_does_not_come_back(run: Any, tmp_path: Path) -> None:
    run("prices", "import", price_file(tmp_path, row("3.06", "2026-01-01")))
    path = price_file(tmp_path, row("36.078", "2026-02-01"))
    imported = answer(run, "prices", "import", path)
    assert answer(run, "prices", "approve", imported["import_id"], "--refuse")["refused"] == 1
    again = answer(run, "prices", "import", path)
    assert (again["counts"]["num_held"], again["counts"]["num_rejected"]) == (0, 1)


def test_an_unmapped_name_is_mapped(run: Any, tmp_path: Path) -> None:
    run("prices", "import", price_file(tmp_path, row("55.04", "2026-07-20", "Odd H100", "").replace("p5.48", "odd")))
    code, output, _ = run("prices", "unmapped")
    assert code == 0
    assert "Odd H100" in output
    assert answer(run, "prices", "map", "Odd H100", "H100-80GB-SXM", "--scope", "aws")["num_offers"] == 1
    assert answer(run, "prices", "unmapped")["unmapped"] == []
    code, _, errors = run("prices", "map", "Odd H100", "H1000")
    assert code == 2
    assert "gpu_key" in errors


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("prices", "import", "nosuch"), 3, "There is no price source 'nosuch'"),
        (("prices", "import", "history-aws"), 3, "is read from files only"),
        (("prices", "import", "nosuch.csv", "--source", "own"), 2, "there is no file nosuch.csv"),
        (("prices", "import", "azure", "--allow-large-changes", "some"), 2, "allow_large_changes"),
        (("prices", "approve", "x"), 3, "there is no price import 'x'"),
        (("prices", "approve", "x", "--rows", "a,b"), 2, "rows"),
        (("prices", "refresh", "own"), 3, "is read from files only"),
        (("prices", "refresh", "azure", "--cron", "never"), 2, "cron"),
        (("assets", "cost", "x"), 3, "there is no asset 'x'"),
        (("assets", "add", "--name", "a"), 2, "price: is needed"),
        (("rates", "convert", "1", "EUR", "USD"), 3, "no rate from EUR to USD is known"),
        (("rates", "convert", "1", "euro", "USD"), 2, "source"),
        (("books", "withdraw", "x"), 3, "there is no price book 'x'"),
    ],
)
def test_what_cannot_be_done_is_said_with_a_code(run: Any, arguments: tuple[str, ...], code: int, words: str) -> None:
    found, _, errors = run(*arguments)
    assert found == code
    assert words in errors


def test_a_source_is_given_a_rule_and_listed_with_its_last_result(run: Any) -> None:
    (found,) = answer(run, "prices", "refresh", "azure", "--cron", "0 6 * * 1")["sources"]
    assert (found["name"], found["enabled"], found["last_success_at"], found["last_error"]) == (
        "azure",
        True,
        None,
        None,
    )
    assert found["next_due"].endswith("T06:00:00Z")
    code, output, _ = run("prices", "refresh", "azure", "--off")
    assert code == 0
    assert "never" in output
    assert answer(run, "prices", "refresh")["sources"][0]["enabled"] is False


def test_an_asset_is_entered_costs_what_the_vectors_say_and_prices_its_device(run: Any) -> None:
    device = answer(run, "devices")["devices"][0]["id"]
    given = (
        *("--name", "Rack 4", "--price", "40000", "--residual", "8000", "--years", "4", "--cost-of-capital", "10%"),
        *("--busy-kw", "1.275", "--idle-kw", "0.35", "--pue", "1.3", "--energy-price", "0.10", "--maintenance", "3%"),
        *("--staff", "900", "--hosting-price", "0", "--device", device),
    )
    asset = answer(run, "assets", "add", *given)
    assert "availability" in {item["field"] for item in asset["assumptions"]}
    found = answer(run, "assets", "cost", asset["id"], "--utilisation", "60%", "--rent-per-hour", "2.29")
    assert found["cost"]["used_hour"].startswith("2.6685")
    assert f"{Decimal(found['against_rent']['break_even_utilisation']):.4f}" == "0.7047"
    code, output, _ = run("assets", "cost", asset["id"], "--utilisation", "80%", "--rent-per-hour", "2.29")
    assert code == 0
    assert "a used hour costs $2.03" in output
    assert "Owning beats the rent from 70.47% utilisation on" in output
    assert "assumed  availability = 1" in output
    changed = answer(run, "assets", "change", asset["id"], *given, "--notes", "moved")
    assert changed["version"] == 2
    assert [cost["view"]["name"] for cost in answer(run, "assets", "list")["assets"]] == ["Rack 4"]
    answer(run, "assets", "remove", asset["id"])
    assert answer(run, "assets", "list")["assets"] == []


def test_rates_come_in_from_a_file_and_convert(run: Any, tmp_path: Path) -> None:
    path = tmp_path / "rates.csv"
    path.write_text("date,base,quote,rate,source\n2026-07-20,EUR,USD,1.0837,a bank\n2026-07-20,EUR,USD,x,a bank\n")
    found = answer(run, "rates", "import", str(path))
    assert (found["num_added"], found["num_refused"]) == (1, 1)
    converted = answer(run, "rates", "convert", "2.49", "EUR", "USD", "--on", "2026-07-22")
    assert converted["conversion"]["amount"] == "2.698413"
    assert (converted["rate_date"], converted["source"]) == ("2026-07-20", "a bank")
    code, output, _ = run("rates", "list")
    assert code == 0
    assert "2026-07-20  1 EUR = 1.0837 USD  (a bank)" in output


def test_a_book_comes_in_from_a_file_and_is_withdrawn(run: Any, tmp_path: Path) -> None:
    path = tmp_path / "book.json"
    terms = [{"provider": "aws", "discount": "15 %"}]
    book = {"name": "EA", "source": "4711", "valid_from": "2026-01-01T00:00:00Z", "roles": ["finance"], "terms": terms}
    path.write_text(json.dumps(book))
    added = answer(run, "books", "add", str(path))
    assert answer(run, "books", "list")["books"] == []
    assert [found["id"] for found in answer(run, "books", "list", "--role", "finance")["books"]] == [added["id"]]
    answer(run, "books", "withdraw", added["id"], "--role", "finance")
    assert answer(run, "books", "list", "--role", "finance")["books"] == []
    path.write_text("[]")
    code, _, errors = run("books", "add", str(path))
    assert code == 2
    assert "must hold one JSON object" in errors
