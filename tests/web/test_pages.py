"""Every page answers with what is in the database, says so when there is nothing, and refuses what it cannot use."""

from __future__ import annotations

import re
from collections.abc import Callable
from io import BytesIO

import pytest
from flask import Flask
from flask.testing import FlaskClient

from planner.offers.offer import OfferKind
from planner.web.pages.estimates import OFFER_KINDS
from tests.web.conftest import Send
from tests.web.world import World

EMPTY_PAGES = (
    "/",
    "/devices",
    "/hardware",
    "/hardware/H100-80GB-SXM",
    "/prices",
    "/imports",
    "/imports/new",
    "/imports/template.csv",
    "/gpu-names",
    "/calibrations",
    "/calibrations/new",
    "/estimates",
    "/estimates/new",
    "/estimates/new?preset=finetune-small",
    "/estimates/new?kind=inference",
    "/budgets",
    "/budgets/new",
    "/schedules",
    "/schedules/new",
    "/schedules/preview?cron=0+3+*+*+*&timezone=UTC",
    "/api",
    "/words",
)


def pages_of(world: World) -> dict[str, str]:
    """Each page with a word that only its own data can have put there."""
    return {
        "/": "Weekly check",
        "/devices": "NVIDIA H100 80GB HBM3",
        f"/devices/{world.gpu_id}": "Matrix products in bf16",
        f"/devices/{world.cpu_id}": "a CPU has no driver that tells it",
        "/hardware?text=h100": "H100-80GB-SXM",
        "/hardware/H100-80GB-SXM": "Memory bandwidth",
        "/prices?gpu=H100-80GB-SXM&kind=on_demand": "p5.48xlarge",
        f"/prices/offers/{world.offer}": "Every price it had",
        f"/prices/offers/{world.offer}?as_of=2026-11-21T09:00Z&known_at=2026-11-21T09:00Z": "What held when",
        "/prices/gpus/H100-80GB-SXM": "When it changed",
        "/prices/gpus/H100-80GB-SXM?kind=spot": "When it changed",
        f"/prices/compare?offer={world.offer}&offer={world.offer + 1}": "Why the cheapest is cheaper",
        "/imports": "unknown to the catalogue",
        "/gpu-names": "Map a name",
        "/price-sources": "skypilot-aws",
        "/price-sources/azure": "When it is read again",
        "/calibrations": "NVIDIA H100 80GB HBM3",
        "/calibrations?state=succeeded": "succeeded",
        f"/calibrations/new?device_id={world.gpu_id}&suite=quick": "Stops at the latest after",
        f"/calibrations/{world.finished_run}": "Telemetry",
        f"/calibrations/{world.running_run}": "every 1500ms",
        f"/calibrations/{world.running_run}/progress": "3 of",
        "/estimates": "Fine-tune SmolLM-135M",
        f"/estimates/{world.training}": "Memory of each GPU",
        "/ledger": "Nothing is entered yet",
        "/budgets": "Nothing is budgeted yet",
        "/budgets/new": "Planned exchange rates",
        "/plans": "One day",
        f"/plans/{world.plan}": "The runner-up (rent only) could be regretted by",
        f"/plans/{world.plan}/brief": "Findings",
        f"/plans/{world.plan}/compare": "Scenarios side by side",
        f"/plans/{world.plan}?use=40%25": "used 40 % of the time",
        f"/plans/{world.locked_plan}": "Planned against happened",
        f"/plans/{world.locked_plan}/tracking": "the ledger has no row of it",
        f"/plans/{world.clashing_plan}": "first, second cannot all be met",
        f"/plans/{world.clashing_plan}/brief": "No plan has been found",
        f"/plans/{world.searching_plan}": "Stop with the best so far",
        f"/plans/{world.searching_plan}/progress": "every 1500ms",
        "/plans/new": "Span and goal",
        "/replays": "Replay a trace",
        f"/estimates/{world.training}/actual": "Or a log of its steps",
        f"/estimates/{world.service}": "Tokens written per second",
        f"/estimates/{world.nothing_fits}": "Nothing fits",
        f"/estimates/{world.nothing_fits}/nodes": "No number of nodes up to 256 keeps what was asked",
        f"/estimates/{world.training}?options=2&rejections=1": "Show 100 more",
        f"/estimates/{world.nothing_fits}?lack=budget": "Those that lack a cost within the budget",
        "/words": "The use from which owning costs less than renting",
        f"/estimates/new?like={world.service}": "Chat service on Llama-3-8B",
        "/schedules": "Weekly check",
        "/suites": "New suite",
        f"/suites/new?device_id={world.gpu_id}": "Matrix products",
        f"/schedules/{world.schedule}": "Europe/Berlin",
    }


@pytest.mark.parametrize("page", EMPTY_PAGES)
def test_every_page_works_on_an_empty_database(page: str, empty_app: Flask) -> None:
    assert empty_app.test_client().get(page).status_code == 200


def test_every_page_shows_what_is_there(client: FlaskClient, world: World) -> None:
    for page, word in pages_of(world).items():
        answer = client.get(page)
        assert answer.status_code == 200, page
        assert word in answer.text, f"{page} does not show {word!r}"


def test_no_page_prints_none_or_an_unescaped_message(client: FlaskClient, world: World) -> None:
    for page in pages_of(world):
        text = client.get(page).text
        assert ">None<" not in text, page
        assert "<of>" not in text, page


def test_unknown_is_said_with_its_reason_and_never_as_zero(client: FlaskClient, world: World) -> None:
    text = client.get(f"/devices/{world.cpu_id}").text
    power = re.search(r"<dt>Power limit</dt><dd>(.*?)</dd>", text, re.S)
    assert power is not None
    assert "unknown" in power[1]
    assert "a CPU has no driver that tells it" in power[1]


def test_the_best_option_is_shown_with_low_mid_and_high(client: FlaskClient, world: World) -> None:
    text = client.get(f"/estimates/{world.training}").text
    best = text[text.index('id="best"') : text.index('id="memory"')]
    assert re.search(r'<span class="edge">[^<]+</span> – <strong>[^<]+</strong> – <span class="edge">', best)
    assert "basis-" in best


def test_the_filter_form_keeps_what_was_asked(client: FlaskClient) -> None:
    text = client.get("/prices?provider=aws&min_memory=40GB&order=age").text
    assert '<option value="aws" selected>' in text
    assert 'value="40GB"' in text


def test_next_page_of_prices_goes_on_where_this_one_ended(client: FlaskClient) -> None:
    def offers(text: str) -> list[str]:
        return re.findall(r'href="/prices/offers/(\d+)"', text)

    first = client.get("/prices?limit=20").text
    onward = re.search(r'href="(/prices\?[^"]*after=[^"]*)"', first)
    assert onward is not None
    second = client.get(onward[1].replace("&amp;", "&")).text
    both = offers(client.get("/prices?limit=40").text)
    assert offers(first) + offers(second) == both
    assert len(both) == 40


@pytest.mark.parametrize(
    ("address", "field"),
    [
        ("/prices?limit=0", "limit"),
        ("/prices?kind=rent", "kind"),
        ("/prices?min_memory=plenty", "min_memory"),
        ("/prices?order=random", "order"),
        ("/prices?as_of=yesterday", "as_of"),
        ("/prices?as_of=2026", "as_of"),
        ("/prices?after=nowhere", "after"),
        ("/prices?colour=red", "colour"),
        ("/prices?gpu=A100&gpu=H100", "gpu"),
        ("/prices?text=a%00b", "text"),
        ("/prices/offers/1?as_of=never", "as_of"),
        ("/hardware?vendor=Acme", "vendor"),
        ("/hardware?kind=tpu", "kind"),
        ("/calibrations?state=bored", "state"),
        ("/calibrations?limit=many", "limit"),
        ("/estimates?limit=-1", "limit"),
        ("/estimates/new?kind=dreaming", "kind"),
        ("/estimates/new?flavour=sweet", "flavour"),
    ],
)
def test_an_address_that_cannot_be_used_names_the_field(address: str, field: str, client: FlaskClient) -> None:
    answer = client.get(address)
    assert answer.status_code == 422
    assert field.replace("_", " ") in answer.text or field in answer.text
    assert re.search(r'role="alert"|<strong>' + field, answer.text)


@pytest.mark.parametrize(
    "address",
    [
        "/devices/nobody",
        "/hardware/H1000",
        "/prices/offers/999999",
        "/prices/offers/99999999999999999999999",
        "/calibrations/nobody",
        "/calibrations/nobody/progress",
        "/imports/nobody",
        "/estimates/nobody",
        "/estimates/new?preset=nobody",
        "/estimates/new?like=nobody",
        "/schedules/nobody",
        "/nothing",
    ],
)
def test_what_is_not_there_is_a_404_page(address: str, client: FlaskClient) -> None:
    answer = client.get(address)
    assert answer.status_code == 404
    assert "Back to the start" in answer.text


def test_every_kind_of_offer_can_be_chosen_in_the_form() -> None:
    assert {value for value, _ in OFFER_KINDS} == {kind.value for kind in OfferKind}


class TestEstimateForm:
    def test_an_estimate_made_by_form_is_stored_and_shown(self, send: Send, client: FlaskClient) -> None:
        fields = {
            "kind": "training",
            "name": "Mine",
            "architecture": "custom",
            "layers": "16",
            "hidden": "2K",
            "heads": "16",
            "ffn": "8192",
            "vocab": "32K",
            "dtype": "bf16",
            "tokens": "300M",
            "sequence_length": "2048",
            "global_batch": "32",
            "micro_batch": "",
            "method": "full",
            "recompute": "none",
            "goal": "time",
            "deadline": "3 days",
            "budget": "$1,000",
            "gpus": ["H100-80GB-SXM", "A100-80GB-SXM"],
        }
        answer = send("/estimates", fields)
        assert answer.status_code == 303
        text = client.get(answer.headers["Location"]).text
        assert "Mine" in text
        assert "300,000,000" in text
        assert "Best by time" in text

    @pytest.mark.parametrize(
        ("changes", "field"),
        [
            ({"kind": "dreaming"}, "kind"),
            ({"name": "x" * 201}, "name"),
            ({"architecture": "nobody"}, "architecture"),
            ({"layers": "-3"}, "layers"),
            ({"hidden": "wide"}, "hidden"),
            ({"heads": "0"}, "heads"),
            ({"kv_heads": "4"}, "architecture"),
            ({"head_width": "x"}, "head_width"),
            ({"ffn": "1e99"}, "ffn"),
            ({"vocab": "many"}, "vocab"),
            ({"gated": "perhaps"}, "gated"),
            ({"tied_embeddings": "perhaps"}, "tied_embeddings"),
            ({"max_positions": "0"}, "max_positions"),
            ({"experts": "1.5"}, "experts"),
            ({"experts_per_token": "many"}, "experts_per_token"),
            ({"dtype": "int3"}, "dtype"),
            ({"tokens": "lots"}, "tokens"),
            ({"tokens": "10"}, "tokens"),
            ({"sequence_length": "1e9"}, "sequence_length"),
            ({"sequence_length": "8K"}, "sequence_length"),
            ({"global_batch": "0"}, "global_batch"),
            ({"micro_batch": "1000"}, "micro_batch"),
            ({"method": "magic"}, "method"),
            ({"recompute": "twice"}, "recompute"),
            ({"prompt_tokens": "5"}, "prompt_tokens"),
            ({"goal": "fame"}, "goal"),
            ({"deadline": "soon"}, "deadline"),
            ({"budget": "-1"}, "budget"),
            ({"budget": "1e13"}, "budget"),
            ({"gpus": ["H1000"]}, "gpus"),
            ({"providers": ["acme"]}, "providers"),
            ({"regions": ["the-moon"]}, "regions"),
            ({"offer_kinds": ["stolen"]}, "offer_kinds"),
            ({"as_of": "2026-11-21"}, "as_of"),
            ({"surprise": "1"}, "surprise"),
            ({"tokens": ["1M", "2M"]}, "tokens"),
            ({"name": "a\0b"}, "name"),
        ],
    )
    def test_a_bad_field_is_named_beside_itself_and_nothing_is_written(
        self, changes: dict[str, object], field: str, send: Send, count_rows: Callable[[], dict[str, int]]
    ) -> None:
        good = {
            "kind": "training",
            "architecture": "smollm-135m",
            "tokens": "20M",
            "sequence_length": "1024",
            "global_batch": "32",
        }
        before = count_rows()
        answer = send("/estimates", {**good, **changes})
        assert answer.status_code == 422
        listed = re.search(r'id="problems".*?</ul>', answer.text, re.S)
        assert listed is not None
        assert f'href="#field-{field}"' in listed[0]
        if f'id="field-{field}"' in answer.text:
            assert f'id="fault-{field}"' in answer.text
        assert count_rows() == before

    def test_what_was_typed_stays_in_the_refused_form(self, send: Send) -> None:
        text = send("/estimates", {"kind": "inference", "prompt_tokens": "1 <b>", "output_tokens": "7"}).text
        assert 'value="1 &lt;b&gt;"' in text
        assert 'value="7"' in text

    def test_computing_again_keeps_the_old_one_and_shows_both(
        self, send: Send, client: FlaskClient, world: World
    ) -> None:
        old = client.get(f"/api/v1/estimates/{world.training}").data
        answer = send(f"/estimates/{world.training}/again")
        assert answer.status_code == 303
        assert world.training not in answer.headers["Location"].partition("?")[0]
        text = client.get(answer.headers["Location"]).text
        assert 'id="difference"' in text
        assert client.get(f"/api/v1/estimates/{world.training}").data == old


class TestCalibrationForm:
    def test_a_run_is_queued_and_its_page_opened(self, send: Send, client: FlaskClient, world: World) -> None:
        answer = send("/calibrations", {"device_id": world.gpu_id, "suite": "smoke"})
        assert answer.status_code == 303
        assert "Waiting for the worker" in client.get(answer.headers["Location"]).text

    @pytest.mark.parametrize(
        ("fields", "field", "status"),
        [
            ({"suite": "smoke"}, "device_id", 422),
            ({"device_id": "nobody"}, "device_id", 404),
            ({"device_id": "{gpu}", "suite": "endless"}, "suite", 422),
            ({"device_id": "{gpu}", "colour": "red"}, "colour", 422),
            ({"device_id": "{cpu}"}, "device_id", 409),
        ],
    )
    def test_a_bad_field_is_named_and_nothing_is_written(
        self,
        fields: dict[str, str],
        field: str,
        status: int,
        send: Send,
        world: World,
        count_rows: Callable[[], dict[str, int]],
    ) -> None:
        before = count_rows()
        filled = {name: text.format(gpu=world.gpu_id, cpu=world.cpu_id) for name, text in fields.items()}
        answer = send("/calibrations", filled)
        assert answer.status_code == status
        assert f'href="#field-{field}"' in answer.text
        assert count_rows() == before

    def test_cancelling_a_queued_run_ends_it_and_twice_is_a_conflict(
        self, send: Send, client: FlaskClient, world: World
    ) -> None:
        page = send("/calibrations", {"device_id": world.gpu_id, "suite": "smoke"}).headers["Location"]
        assert send(f"{page}/cancel").status_code == 303
        assert "cancelled" in client.get(page).text
        assert send(f"{page}/cancel").status_code == 409

    def test_progress_of_an_ended_run_asks_for_the_whole_page(self, client: FlaskClient, world: World) -> None:
        ended = client.get(f"/calibrations/{world.finished_run}/progress", headers={"HX-Request": "true"})
        assert ended.headers["HX-Refresh"] == "true"
        running = client.get(f"/calibrations/{world.running_run}/progress", headers={"HX-Request": "true"})
        assert "HX-Refresh" not in running.headers


GOOD_SCHEDULE = {"name": "Nightly", "cron": "30 2 * * *", "timezone": "UTC", "suite": "smoke", "enabled": "true"}


class TestScheduleForm:
    def test_a_schedule_is_made_changed_paused_and_taken_away(
        self, send: Send, client: FlaskClient, world: World
    ) -> None:
        assert send("/schedules", {**GOOD_SCHEDULE, "device_id": world.gpu_id}).status_code == 303
        listed = client.get("/schedules").text
        address = re.search(r'href="(/schedules/\w{26})">Nightly', listed)
        assert address is not None
        assert send(address[1], {**GOOD_SCHEDULE, "name": "Every night", "enabled": ""}).status_code == 303
        assert "paused" in client.get("/schedules").text
        assert send(f"{address[1]}/enabled", {"enabled": "true"}).status_code == 303
        assert ">paused<" not in client.get("/schedules").text
        assert send(f"{address[1]}/delete").status_code == 303
        assert "Every night</a>" not in client.get("/schedules").text

    @pytest.mark.parametrize(
        ("changes", "field"),
        [
            ({"name": ""}, "name"),
            ({"name": "Weekly check"}, "name"),
            ({"cron": "sometimes"}, "cron"),
            ({"cron": "61 * * * *"}, "cron"),
            ({"timezone": "Mars/Olympus"}, "timezone"),
            ({"suite": "endless"}, "suite"),
            ({"device_id": "nobody"}, "device_id"),
            ({"enabled": "perhaps"}, "enabled"),
            ({"colour": "red"}, "colour"),
        ],
    )
    def test_a_bad_field_is_named_and_nothing_is_written(
        self,
        changes: dict[str, str],
        field: str,
        send: Send,
        world: World,
        count_rows: Callable[[], dict[str, int]],
    ) -> None:
        before = count_rows()
        for address in ("/schedules", f"/schedules/{world.schedule}"):
            if changes == {"name": "Weekly check"} and address != "/schedules":
                continue
            answer = send(address, {**GOOD_SCHEDULE, **changes})
            assert answer.status_code == 422
            assert f'href="#field-{field}"' in answer.text
        assert count_rows() == before

    def test_the_form_reads_the_rule_in_words_with_the_next_five_times(self, client: FlaskClient) -> None:
        text = client.get("/schedules/preview?cron=30+2+*+*+1&timezone=Europe/Berlin").text
        assert "Monday" in text
        assert text.count("UTC") == 5
        assert "What the rule means" in client.get("/schedules/preview?cron=nonsense").text

    def test_run_now_queues_what_it_can_and_says_what_it_cannot(
        self, send: Send, client: FlaskClient, world: World
    ) -> None:
        answer = send(f"/schedules/{world.schedule}/run")
        assert answer.status_code == 303
        text = client.get(answer.headers["Location"]).text
        assert "Not queued: A CPU has a calibration under way" in text
        assert send(f"/schedules/{world.schedule}/run").status_code == 409

    @pytest.mark.parametrize("wanted", ["", "perhaps"])
    def test_switching_needs_true_or_false(self, wanted: str, send: Send, world: World) -> None:
        assert send(f"/schedules/{world.schedule}/enabled", {"enabled": wanted}).status_code == 422


TRAINING = {"kind": "training", "tokens": "300M", "sequence_length": "1024", "global_batch": "64", "goal": "cost"}
CONFIG = (
    b'{"model_type": "llama", "num_hidden_layers": 4, "hidden_size": 512, "num_attention_heads": 8, '
    b'"num_key_value_heads": 4, "intermediate_size": 1536, "vocab_size": 32000, "max_position_embeddings": 2048}'
)


def test_an_architecture_is_taken_from_a_file(client: FlaskClient, send: Send) -> None:
    fields = {**TRAINING, "architecture": "llama-3-8b", "config_file": (BytesIO(CONFIG), "config.json")}
    answer = send("/estimates", fields, page="/estimates/new?kind=training")
    assert answer.status_code == 303
    assert "llama" in client.get(answer.headers["Location"]).text
    twice = {**fields, "config_file": (BytesIO(CONFIG), "config.json"), "config": CONFIG.decode()}
    assert send("/estimates", twice, page="/estimates/new?kind=training").status_code == 422
    wrong = {**fields, "config_file": (BytesIO(b"\xff"), "config.json")}
    assert "fault-config_file" in send("/estimates", wrong, page="/estimates/new?kind=training").text


def test_a_layout_of_ones_own_is_kept_and_shown(client: FlaskClient, send: Send) -> None:
    fields = {**TRAINING, "architecture": "llama-3-8b", "nodes": "2", "tensor_parallel": "8", "sharding": "zero1"}
    answer = send("/estimates", {**fields, "stack": "fused", "recompute": "full"}, page="/estimates/new?kind=training")
    assert answer.status_code == 303
    shown = client.get(answer.headers["Location"]).text
    assert "× 8 tensor ×" in shown
    assert "Tensor parallel" in shown
    again = client.get("/estimates/new", query_string={"like": answer.headers["Location"].split("/")[-1]}).text
    assert 'name="tensor_parallel" value="8"' in again
    wrong = send("/estimates", {**fields, "tensor_parallel": "7"}, page="/estimates/new?kind=training")
    assert wrong.status_code == 422
    assert "fault-tensor_parallel" in wrong.text
