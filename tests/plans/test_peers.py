"""Instances of other planners, where the folder of shared data lies beside the checkout; and made ones."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.plan_cases import CASES, Folder, gavel_supplies, sky_jobs
from benchmarks.plans import main

DATA = Path(__file__).parents[3] / "shared" / "data"


@pytest.mark.parametrize("name", ["philly", "skypilot"])
def test_every_case_of_a_peer_holds(name: str) -> None:
    if not DATA.is_dir():
        pytest.skip("the folder of shared data is not here")
    cases = CASES[name](Folder(DATA))
    assert cases
    assert [case for case in cases if not case.ok] == []


def test_a_made_cluster_and_trace_of_gavels_kind_lies_between_bound_and_peer(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [f"T{n % 3} (batch size 1)\tx\tx\tx\t1\t{40_000 + 9_000 * n}\t{1 + n % 2}\t1\t-1\t0" for n in range(12)]
    (tmp_path / "gavel_minimize_makespan.trace").write_text("\n".join(rows) + "\n", encoding="utf-8")
    table = ["table,job_type,num_gpus,v100,p100,k80"]
    table += [
        f"physical,T{t} (batch size 1),{g},{9 - t},{5 + t},{0 if t == 2 else 2}" for t in range(3) for g in (1, 2)
    ]
    (tmp_path / "gavel_throughputs.csv").write_text("\n".join(table) + "\n", encoding="utf-8")
    results = {
        "instance": "cluster 2 V100 + 3 P100 + 4 K80, prices v100 2.5, p100 1.5, k80 0.5",
        "lower_bound": {"cost_at_deadline": {"24": 0.0, "unbounded": 0.0}},
        "gavel_simulator_commit_c4fa4009_ECOS_round_360s": [{"policy": "p", "makespan_h": 30.0, "cost": 900.0}],
    }
    (tmp_path / "gavel_results.json").write_text(json.dumps(results), encoding="utf-8")
    assert main(["--data", str(tmp_path), "--only", "gavel", "--json"]) == 0
    cases = json.loads(capsys.readouterr().out)
    assert [case["case"] for case in cases] == ["gavel makespan h", "gavel $ by 24 h", "gavel $ by unbounded h"]
    assert all(case["bound"] <= case["ours"] * (1 + 1e-9) for case in cases)


def test_what_is_not_there_is_skipped_and_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--data", str(tmp_path), "--only", "gavel,philly"]) == 2
    said = capsys.readouterr().err
    assert "gavel: skipped, " in said
    assert "philly: skipped, philly_replay_expected.json" in said


def test_clusters_and_tasks_are_read_from_their_words() -> None:
    supplies = gavel_supplies("8 V100 + 16 P100 + 24 K80), prices $/GPU-h v100 2.48, p100 1.46, k80 0.45 (ours)")
    assert [(s.gpu, s.num_gpus, s.price_per_hour) for s in supplies] == [
        ("v100", 8, 2.48),
        ("p100", 16, 1.46),
        ("k80", 24, 0.45),
    ]
    hours = {"train": {"A": 2.0}, "prep": {"A": 1.0}, "eval": {"A": 1.0}}
    assert [job.after for job in sky_jobs("chain prep->train->eval, min cost", hours)] == [(), ("prep",), ("train",)]
    assert [job.name for job in sky_jobs("diamond a->(b,c)->d, b and c are train", hours)] == ["a", "b", "c", "d"]
    with pytest.raises(ValueError, match="no cluster"):
        gavel_supplies("nothing here")
