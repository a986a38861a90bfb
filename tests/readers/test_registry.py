"""Which source a file belongs to, and the facts that sources rely on."""

from __future__ import annotations

import gzip
import io
import json
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.errors import NotFound
from planner.hardware.catalogue import load_catalogue
from planner.readers import json_stream
from planner.readers.json_stream import members
from planner.readers.machines import find_machine, load_machines
from planner.readers.own_csv import template
from planner.readers.registry import SOURCES, detect, get_source
from tests.readers.reading import DATA, Reading


class TestDetecting:
    @pytest.mark.parametrize(
        ("file", "name"),
        [
            ("aws_price_list.csv", "aws-price-list"),
            ("aws_price_list.json", "aws-price-list"),
            ("aws_spot.json", "aws-spot"),
            ("azure_page_1.json", "azure"),
            ("gcp_page_1.json", "gcp"),
            ("oci.json", "oci"),
            ("runpod.json", "runpod"),
            ("vast.json", "vast"),
            ("lambda.json", "lambda"),
            ("focus_1_2.csv", "focus"),
            ("focus_1_4.csv", "focus"),
        ],
    )
    def test_by_its_members_or_columns(self, file: str, name: str) -> None:
        content = (DATA / file).read_bytes()
        assert detect(content, "upload") == name
        assert detect(gzip.compress(content)[:4000], "upload.gz") == name

    def test_its_own_form(self) -> None:
        assert detect(template().encode()) == "own"

    @pytest.mark.parametrize(
        ("file", "filename", "name"),
        [
            ("skypilot_aws.csv", "v8/gcp/vms.csv", "skypilot-gcp"),
            ("skypilot_aws.csv", "C:\\catalogs\\lambda\\vms.csv", "skypilot-lambda"),
            ("skypilot_aws.csv", "vms.csv", "skypilot"),
            ("skypilot_aws.csv", "gcp-and-aws/vms.csv", "skypilot"),
            ("gpuhunt_lambda.csv", "runpod.csv", "gpuhunt-runpod"),
            ("history_spot.csv", "azure_history.csv", "history-azure"),
            ("history_spot.csv", "clawsuit.csv", "history"),
        ],
    )
    def test_takes_the_provider_from_a_word_of_the_name_only(self, file: str, filename: str, name: str) -> None:
        assert detect((DATA / file).read_bytes(), filename) == name

    @pytest.mark.parametrize(
        "content",
        [b"", b"\0", b"hello", b"a,b\n1,2\n", b"{}", b'{"a": 1}', b"<html>", b"\x1f\x8b123", b"\xff\xfe", b'"'],
    )
    def test_says_nothing_where_it_is_not_certain(self, content: bytes) -> None:
        assert detect(content, "aws.csv") is None

    def test_an_unknown_name_is_answered_with_the_known_ones(self) -> None:
        with pytest.raises(NotFound, match="aws-price-list"):
            get_source("nonesuch")

    def test_every_source_has_a_name_of_its_own_and_a_title(self) -> None:
        assert all(name == entry.name and entry.title for name, entry in SOURCES.items())
        assert len({entry.title for entry in SOURCES.values()}) == len(SOURCES)


class TestMachines:
    def test_is_found_by_its_whole_name_in_any_case(self) -> None:
        found = find_machine("azure", "standard_nc6s_V3")
        assert found is not None
        assert (found.instance_type, found.num_gpus) == ("Standard_NC6s_v3", 1)
        assert find_machine("azure", "Standard_NC6s") is None
        assert find_machine("aws", "Standard_NC6s_v3") is None

    def test_every_mapped_machine_is_in_the_catalogue(self) -> None:
        catalogue = load_catalogue()
        unmapped = {
            machine.gpu_name
            for machine in load_machines().values()
            if machine.provider in ("aws", "azure")
            and not (
                catalogue.find(machine.instance_type, machine.provider)
                or catalogue.find(machine.gpu_name, machine.provider)
            )
        }
        assert unmapped == {"K520", "Radeon Pro V520", "RTX PRO 4500"}


class TestJsonStream:
    @given(
        rows=st.lists(
            st.recursive(
                st.none() | st.booleans() | st.integers() | st.text(max_size=20),
                lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
                max_leaves=5,
            ),
            max_size=8,
        ),
        size=st.integers(1, 40),
    )
    def test_gives_the_same_whatever_the_size_of_the_pieces(self, rows: list[object], size: int) -> None:
        content = json.dumps({"before": 1, "rows": rows, "after": {"x": [1, 2]}}, ensure_ascii=False).encode()
        stream = _Piecewise(content, size)
        found = list(members(stream, [("rows",)]))
        assert [_plain(member.value) for member in found if member.path] == rows
        assert [member.key for member in found if not member.path] == ["before", "after"]

    def test_keeps_every_digit_of_a_number(self) -> None:
        content = b'{"items": [{"partNumber": "P", "displayName": "Compute - GPU - X", "metricName": "GPU Per Hour", '
        content += b'"currencyCodeLocalizations": [{"currencyCode": "USD", "prices": [{"model": "PAY_AS_YOU_GO", '
        content += b'"value": 0.1234567891}]}]}]}'
        assert str(Reading("oci", content).quotes[0].amount) == "0.1234567891"

    def test_holds_one_member_at_a_time(self) -> None:
        row = b'{"text": "' + b"x" * 1000 + b'"},'
        content = b'{"rows": [' + row * 20_000 + b"{}]}"
        tracemalloc.start()
        try:
            number = sum(1 for _ in members(io.BytesIO(content), [("rows",)]))
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert number == 20_001
        assert peak < 12 * json_stream._CHUNK


class _Piecewise(io.BytesIO):
    """A stream that gives a few bytes at a time, as a network does."""

    def __init__(self, content: bytes, size: int) -> None:
        super().__init__(content)
        self._size = size

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(self._size)


def _plain(value: object) -> object:
    """The value with numbers as numbers again."""
    if isinstance(value, json_stream.Number):
        return int(value)
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return value
