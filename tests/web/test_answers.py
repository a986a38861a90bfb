"""Pages say the answer first, then why; what is rejected is told by what it lacks; every word has its meaning."""

from __future__ import annotations

import re

import pytest
from flask.testing import FlaskClient

from planner.calibration.sample import Bench, Operation
from planner.estimates.estimate import Bottleneck
from planner.estimates.published_error import published_error
from planner.hardware.gpu import Dtype
from planner.quantity import Basis
from planner.web.formats import percent
from planner.web.glossary import BASES, WORDS
from planner.web.lack_words import LACK_WORDS
from planner.web.sample_groups import sample_groups
from tests.builders import sample
from tests.web.world import World


def text_of(page: str) -> str:
    """What is read of a page: no tags, single spaces."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))


def section(page: str, anchor: str) -> str:
    """The section whose heading has that id."""
    start = page.index(f'aria-labelledby="{anchor}"')
    return page[start : page.index("</section>", start)]


def test_an_estimate_says_place_time_and_cost_before_anything_else(client: FlaskClient, world: World) -> None:
    page = client.get(f"/estimates/{world.training}").text
    found = client.get(f"/api/v1/estimates/{world.training}").get_json()
    assert page.index('id="answer"') < page.index('id="best"')
    heading = re.search(r'<h2 id="answer">(.*?)</h2>', page, re.S)
    assert heading is not None
    best = found["options"][0]["placement"]["offer"]
    assert best["instance_type"] in heading[1]
    assert re.search(r"min and \$0\.\d\d", heading[1])
    answer = text_of(section(page, "answer"))
    assert "The cheapest" in answer
    assert "The fastest" in answer
    assert "days ago : check it before you rely on it" in answer


def test_a_service_is_told_in_tokens_per_second_and_by_the_hour(client: FlaskClient, world: World) -> None:
    page = client.get(f"/estimates/{world.service}").text
    heading = re.search(r'<h2 id="answer">(.*?)</h2>', page, re.S)
    assert heading is not None
    assert re.search(r"per second and \$[\d,.]+ per hour", heading[1].replace("tokens/s", "per second"))


def test_every_link_within_a_page_leads_somewhere(client: FlaskClient, world: World) -> None:
    pages = ("/words", "/prices", f"/plans/{world.plan}", f"/calibrations/{world.finished_run}")
    for address in (*pages, *(f"/estimates/{one}" for one in (world.training, world.service))):
        page = client.get(address).text
        ids = set(re.findall(r' id="([^"]+)"', page))
        aims = set(re.findall(r'href="#([^"]+)"', page))
        assert aims - ids == set(), address


def test_where_nothing_fits_the_commonest_lack_is_named_with_what_would_help(client: FlaskClient, world: World) -> None:
    page = client.get(f"/estimates/{world.nothing_fits}").text
    told = text_of(section(page, "none"))
    assert "lack a cost within the budget" in told
    assert "What would help: a larger budget, or a smaller job" in told
    counts = [
        int(count.replace(",", "")) for count in re.findall(r'<td class="num">([\d,]+)</td>', section(page, "rejected"))
    ]
    assert sum(counts) == client.get(f"/api/v1/estimates/{world.nothing_fits}").get_json()["num_rejections"]


def test_rejections_are_shown_by_what_they_lack(client: FlaskClient, world: World) -> None:
    page = client.get(f"/estimates/{world.nothing_fits}?lack=budget&rejections=5").text
    rows = section(page, "rejected").split('aria-label="Rejections"')[1]
    assert rows.count("the budget is") == 5
    assert "catalogue has no figures" not in rows
    refused = client.get(f"/estimates/{world.nothing_fits}?lack=patience")
    assert refused.status_code == 422


def test_whatever_a_place_can_lack_has_words_and_a_way_out() -> None:
    assert set(LACK_WORDS) == set(Bottleneck)
    assert all(words.lacks and words.way_out for words in LACK_WORDS.values())


def test_every_basis_and_every_word_stands_once_on_the_page_of_words(client: FlaskClient) -> None:
    assert list(BASES) == [basis.value for basis in Basis]
    anchors = [word.anchor for _, words in WORDS for word in words]
    page = client.get("/words").text
    assert len(set(anchors)) == len(anchors)
    for anchor in anchors:
        assert page.count(f' id="{anchor}"') == 1


def test_a_run_says_what_was_reached_before_each_of_its_samples(client: FlaskClient, world: World) -> None:
    page = client.get(f"/calibrations/{world.finished_run}").text
    run = client.get(f"/api/v1/calibrations/{world.finished_run}").get_json()
    assert "Matrix products, bf16" in page
    assert page.index('aria-label="Samples by what was measured"') < page.index('<h3 id="samples-1">')
    listed = sum(len(re.findall(r"<tr><th scope", part)) for part in page.split('<h3 id="samples-')[1:])
    assert listed >= len(run["samples"])
    told = text_of(section(page, "samples"))
    assert told.count("Power is unknown") == 1  # once for all, where the driver told none
    assert "Benches that failed" in page


def test_samples_are_grouped_by_work_and_format_with_the_highest_rate_of_each() -> None:
    product = Bench(Operation.MATMUL, 1, Dtype.BF16, {"m": 64, "n": 64, "k": 64}, 1.0)
    first = sample(bench=product, seconds=1.0, flops=2e12, num_bytes=0.0)
    faster = sample(bench=product, seconds=0.5, flops=2e12, num_bytes=0.0, steady=False)
    copy = sample(
        bench=Bench(Operation.COPY, 1, Dtype.BF16, {"num_bytes": 64}, 1.0), seconds=2.0, flops=0.0, num_bytes=4e9
    )
    products, copies = sample_groups([first, faster, copy])
    assert (products.samples, products.flops_per_second, products.bytes_per_second) == ((first, faster), 4e12, None)
    assert products.num_unsteady == 1
    assert (copies.flops_per_second, copies.bytes_per_second) == (None, 2e9)


def test_a_plan_says_what_to_hold_what_to_rent_and_what_it_costs(client: FlaskClient, world: World) -> None:
    page = client.get(f"/plans/{world.plan}").text
    heading = re.search(r'<h2 id="cost">(.*?)</h2>', page, re.S)
    assert heading is not None
    assert re.fullmatch(r"Reserve 3 × reserve; rent \d+ GPU-hours of rent: \$108\.90 over 24 h", heading[1])


@pytest.mark.parametrize(("address", "rows"), [("/prices", 50), ("/prices?limit=70", 70)])
def test_a_page_of_prices_is_short_unless_more_is_asked_for(client: FlaskClient, address: str, rows: int) -> None:
    assert client.get(address).text.count('type="checkbox" name="offer"') == rows


def test_an_estimate_on_published_figures_says_how_far_published_runs_lay(client: FlaskClient, world: World) -> None:
    for which, kind in ((world.training, "training"), (world.service, "inference")):
        told = text_of(section(client.get(f"/estimates/{which}").text, "answer"))
        error = published_error(kind)
        assert f"were {percent(error.median)} off at the median and {percent(error.p90)} at the 90th percentile" in told
        assert "widened most by" in told
