"""The ledger over HTTP: entered by JSON, log, table and form, and shown beside the estimate."""

from __future__ import annotations

from io import BytesIO

from flask.testing import FlaskClient

from tests.web.conftest import Send
from tests.web.world import World

API = "/api/v1/actuals"


def enter(client: FlaskClient, world: World, **fields: object) -> dict[str, object]:
    answer = client.post(API, json={"estimate_id": world.training, **fields})
    assert answer.status_code == 201, answer.text
    found: dict[str, object] = answer.json
    return found


def test_an_actual_is_entered_and_read_back(client: FlaskClient, world: World) -> None:
    answer = client.post(API, json={"estimate_id": world.training, "step_seconds": "812 ms", "cost": "9.50"})
    assert answer.status_code == 201
    assert client.get(answer.headers["Location"]).json == answer.json
    figures = {figure["metric"]: figure for figure in answer.json["figures"]}
    assert figures["step_seconds"]["measured"] == 0.812
    assert figures["step_seconds"]["error"] is not None
    assert client.get(API).json["actuals"] == [answer.json]
    assert client.get(API, query_string={"estimate_id": world.service}).json["actuals"] == []


def test_the_same_reference_with_other_figures_clashes(client: FlaskClient, world: World) -> None:
    first = enter(client, world, seconds=100, reference="a")
    assert enter(client, world, seconds=100, reference="a")["id"] == first["id"]
    again = client.post(API, json={"estimate_id": world.training, "seconds": 5, "reference": "a"})
    assert again.status_code == 409


def test_what_was_not_measured_is_not_nothing(client: FlaskClient, world: World) -> None:
    answer = client.post(API, json={"estimate_id": world.training, "seconds": 0})
    assert answer.status_code == 422
    assert answer.json["errors"][0]["field"] == "seconds"
    assert client.post(API, json={"estimate_id": "no such", "seconds": 1}).status_code == 404


def test_a_log_and_a_table(client: FlaskClient, world: World) -> None:
    log = {"estimate_id": world.training, "log": "step_seconds\n" + "0.5\n" * 9}
    answer = client.post("/api/v1/step-logs", json=log)
    assert answer.status_code == 201
    assert answer.json["log"]["step_seconds"] == 0.5
    table = f"estimate_id,seconds\n{world.training},90\nno such,4\n"
    found = client.post("/api/v1/actual-tables", data=table, content_type="text/csv")
    assert found.status_code == 201
    assert (len(found.json["entered"]), found.json["bad"][0]["line"]) == (1, 3)
    csv = client.get("/api/v1/actuals.csv")
    assert len(csv.text.splitlines()) == 3
    assert client.get("/api/v1/track-records").json["records"][0]["count"] == 2


def test_the_form_enters_and_the_estimate_shows_it(client: FlaskClient, world: World, send: Send) -> None:
    address = f"/estimates/{world.training}/actual"
    answer = send(address, {"option": "0", "step_seconds": "1.5 s", "note": "on the small cluster"}, page=address)
    assert answer.status_code == 303
    shown = client.get(f"/estimates/{world.training}").text
    assert "What it took" in shown
    assert "on the small cluster" in client.get("/ledger").text
    refused = send(address, {"option": "0", "seconds": "soon"}, page=address)
    assert refused.status_code == 422
    assert "fault-seconds" in refused.text
    pasted = send(address, {"option": "0", "log": "nothing in here"}, page=address)
    assert pasted.status_code == 422
    assert "step times" in pasted.text


def test_a_table_is_sent_by_form(client: FlaskClient, world: World, send: Send) -> None:
    table = BytesIO(f"estimate_id,seconds\n{world.training},90\n".encode())
    answer = send("/ledger/table", {"file": (table, "jobs.csv")}, page="/ledger")
    assert answer.status_code == 303
    assert "Jobs entered: 1" in client.get("/ledger").text
    assert send("/ledger/table", {"file": (BytesIO(b"\xff\xfe"), "jobs.csv")}, page="/ledger").status_code == 422


def test_the_next_estimate_says_how_the_last_ones_came_true(client: FlaskClient, world: World) -> None:
    before = client.get(f"/api/v1/estimates/{world.training}").json
    assert all(kind["record"] is None for kind in before["track_records"])
    enter(client, world, step_seconds=before["options"][0]["step_seconds"]["mid"] * 2)
    made = client.post("/api/v1/estimates", json={"preset": "finetune-small"}).json
    records = [kind["record"] for kind in made["track_records"] if kind["record"]]
    assert records
    assert round(records[0]["median"], 6) == -0.5
    assert "median −50 %" in client.get(f"/estimates/{made['id']}").text
    assert client.get(f"/api/v1/estimates/{world.training}").json == before
