"""Jobs pasted as a table: read line by line, each fault with its line or its job."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient

from planner.errors import InvalidInput
from planner.web.plan_csv import jobs_of
from tests.web.conftest import Send
from tests.web.world import World

TABLE = """name,gpu,num_gpus,time,deadline,divisible,after,priority
train,H100-80GB-SXM,8,14 h,48 h,yes,,2
train,A100-80GB-SXM,8,30 h,,,,
test,H100-80GB-SXM,1,2 h,2027-01-07,no,train,
"""


def test_lines_of_one_name_are_one_job_with_several_options() -> None:
    train, test = jobs_of(TABLE)
    assert [option["gpu"] for option in train["options"]] == ["H100-80GB-SXM", "A100-80GB-SXM"]
    assert (train["deadline"], train["divisible"], train["priority"]) == ("48 h", True, "2")
    assert (test["due_at"], test["divisible"], test["after"]) == ("2027-01-07", False, ["train"])
    assert jobs_of("  \n") == []


@pytest.mark.parametrize("mark", [";", "\t"])
def test_other_marks_between_cells_and_other_cases_of_names_are_read(mark: str) -> None:
    assert jobs_of(TABLE.replace(",", mark).replace("num_gpus", "Num_GPUs")) == jobs_of(TABLE)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name,gpu\na,H100", "must name the columns"),
        ("name,gpu,num_gpus,time,colour\n", "no column 'colour'"),
        ("name,name,estimate_id\n", "named twice"),
        ("name,gpu,num_gpus,time\na,H100,8\n", "line 2: has more or fewer cells"),
        ("name,gpu,num_gpus,time\n,H100,8,2 h\n", "line 2: has no name"),
        ("name,gpu,num_gpus,time\na,H100,,2 h\n", "line 2: a needs gpu, num_gpus and time together"),
        ("name,gpu,num_gpus,time,divisible\na,H100,8,2 h,maybe\n", "must be yes or no"),
        (
            "name,gpu,num_gpus,time,priority\na,H100,8,2 h,1\na,A100,8,2 h,2\n",
            "line 3: a is there already with another",
        ),
        ("name,estimate_id\na,x\na,x\n", "line 3: a is there already"),
        ('name,gpu,num_gpus,time\n"a,H100,8,2 h\n', "unexpected end of data"),
        ("x" * 600_000, "longer than"),
    ],
)
def test_what_cannot_be_read_is_named_by_its_line(text: str, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        jobs_of(text)


def test_the_form_plans_a_table_of_jobs_beside_its_own(client: FlaskClient, world: World, send: Send) -> None:
    fields = {"name": "many", "starts_at": "2027-01-04", "offers": "true", "jobs_csv": TABLE}
    made = send("/plans", {**fields, "job2_estimate": world.training}, page="/plans/new")
    assert made.status_code == 303, made.text
    jobs = {job["name"]: job for job in client.get(f"/api/v1{made.headers['Location']}").json["request"]["jobs"]}
    assert len(jobs) == 3
    assert jobs["train"]["deadline_hours"] == 48.0
    assert jobs["test"]["deadline_hours"] == 72.0
    assert jobs["test"]["after"] == ["train"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"jobs_csv": "name,gpu,num_gpus,time\na,H100,eight,2 h\n"}, "a: options.0.num_gpus"),
        ({"jobs_csv": "name,gpu,num_gpus,time\na,H100,8\n"}, "has more or fewer cells"),
        ({"job2_deadline": "soon"}, 'id="fault-job2_deadline"'),
    ],
)
def test_a_fault_stands_by_the_table_or_the_row_that_it_is_of(
    send: Send, world: World, changes: dict[str, str], words: str
) -> None:
    fields = {"name": "p", "offers": "true", "job2_estimate": world.training, **changes}
    answer = send("/plans", fields, page="/plans/new")
    assert answer.status_code == 422
    assert words in answer.text
