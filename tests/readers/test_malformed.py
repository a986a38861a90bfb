"""A corpus of broken files: each is refused by row and reason, and none makes a reader fail."""

from __future__ import annotations

import gzip
import io
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.readers import json_stream, tables, unpack
from planner.readers.own_csv import template
from planner.readers.registry import SOURCES
from planner.readers.unpack import FileFault
from tests.readers.reading import DATA, Reading

RECORDED = {  # one sound file of each form
    "aws-price-list": DATA / "aws_price_list.csv",
    "aws-spot": DATA / "aws_spot.json",
    "azure": DATA / "azure_page_1.json",
    "gcp": DATA / "gcp_page_1.json",
    "skypilot-aws": DATA / "skypilot_aws.csv",
    "gpuhunt-lambdalabs": DATA / "gpuhunt_lambda.csv",
    "oci": DATA / "oci.json",
    "runpod": DATA / "runpod.json",
    "vast": DATA / "vast.json",
    "lambda": DATA / "lambda.json",
    "history-aws": DATA / "history_spot.csv",
    "focus": DATA / "focus_1_4.csv",
}
CSV_NAMES = [name for name, path in RECORDED.items() if path.suffix == ".csv"]
JSON_NAMES = [name for name, path in RECORDED.items() if path.suffix == ".json"]
WEB_PAGE = b"<!DOCTYPE html>\n<html><body><h1>503 Service Unavailable</h1></body></html>\n"


def sound(name: str) -> bytes:
    return template().encode() if name == "own" else RECORDED[name].read_bytes()


class TestWholeFiles:
    """Faults of the file itself end its reading, and say that nothing of it is to be kept."""

    @pytest.mark.parametrize("name", [*RECORDED, "own"])
    @pytest.mark.parametrize(
        ("content", "reason"),
        [
            (b"", "the file is empty"),
            (b"\n\n", "the file is empty"),
            (b"PK\x03\x04\x00\x00", "the file is a ZIP archive; unpack it, or export CSV or JSON"),
            (gzip.compress(b"x" * 10_000)[:40], "the compressed file is cut off before its end"),
            (b"\x1f\x8b" + b"\0" * 40, "the compressed file is damaged"),
        ],
        ids=["empty", "blank", "zip", "cut gzip", "damaged gzip"],
    )
    def test_no_form_takes_what_is_no_file(self, name: str, content: bytes, reason: str) -> None:
        reading = Reading(name, content)
        assert not reading.quotes
        assert reading.fault == reason or (content == b"\n\n" and reading.fault)

    @pytest.mark.parametrize("name", [*RECORDED, "own"])
    def test_a_web_page_is_named_as_one(self, name: str) -> None:
        reading = Reading(name, WEB_PAGE)
        assert not reading.quotes
        assert "web page" in reading.fault or "Publication Date" in reading.fault

    @pytest.mark.parametrize("name", [*RECORDED, "own"])
    def test_cut_gzip_of_a_sound_file_is_refused_as_a_whole(self, name: str) -> None:
        assert Reading(name, gzip.compress(sound(name))[:-12]).fault == "the compressed file is cut off before its end"

    @pytest.mark.parametrize("name", RECORDED)
    def test_gzip_of_a_sound_file_reads_as_the_file(self, name: str) -> None:
        plain, packed = Reading(name, sound(name)), Reading(name, gzip.compress(sound(name)))
        assert (packed.quotes, packed.refused) == (plain.quotes, plain.refused)
        assert plain.quotes

    @pytest.mark.parametrize("name", [*RECORDED, "own"])
    def test_bytes_that_are_no_utf_8_are_refused_with_their_row(self, name: str) -> None:
        middle = len(sound(name)) * 3 // 4
        reading = Reading(name, sound(name)[:middle] + b"\xff\xfe" + sound(name)[middle:])
        assert "not UTF-8" in reading.fault
        assert reading.refused[-1].row

    @pytest.mark.parametrize("name", [*CSV_NAMES, "own"])
    def test_nul_bytes_are_refused_with_their_line(self, name: str) -> None:
        lines = sound(name).split(b"\n")
        line = len(lines) - 1  # the last one that is not empty
        lines[line - 1] = lines[line - 1][:3] + b"\0" + lines[line - 1][3:]
        reading = Reading(name, b"\n".join(lines))
        assert (reading.fault, reading.refused[-1].row) == ("the line has a NUL byte: this is no text", line)

    @pytest.mark.parametrize("name", JSON_NAMES)
    @pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.999])
    def test_json_that_breaks_off_is_refused_as_a_whole(self, name: str, share: float) -> None:
        content = sound(name).rstrip()
        assert Reading(name, content[: int(len(content) * share)]).fault

    @pytest.mark.parametrize("name", JSON_NAMES)
    @pytest.mark.parametrize(
        "content",
        [b"[]", b"[1, 2]", b"7", b'"text"', b"null", b"{}", b'{"error": {"code": 403}}', b"{]", b"NaN"],
        ids=str,
    )
    def test_json_of_another_shape_is_refused_as_a_whole(self, name: str, content: bytes) -> None:
        reading = Reading(name, content)
        assert not reading.quotes
        assert reading.fault

    @pytest.mark.parametrize("name", JSON_NAMES)
    def test_deep_nesting_is_refused(self, name: str) -> None:
        assert "too deeply" in Reading(name, b'{"a": ' + b"[" * 200_000).fault

    @pytest.mark.parametrize("name", [*CSV_NAMES, "own"])
    def test_a_table_of_something_else_is_refused_by_its_columns(self, name: str) -> None:
        reading = Reading(name, b"name,colour\nrose,red\n" * 20)
        assert not reading.quotes
        assert "column" in reading.fault or "Publication Date" in reading.fault

    @pytest.mark.parametrize("name", CSV_NAMES)
    def test_a_column_that_is_there_twice_is_refused(self, name: str) -> None:
        lines = sound(name).split(b"\n")
        header = next(number for number, line in enumerate(lines) if b"nstance" in line or b"BilledCost" in line)
        first = lines[header].split(b",")[0]
        lines[header] = lines[header].rstrip(b"\r") + b"," + first
        assert "is there twice" in Reading(name, b"\n".join(lines)).fault

    def test_a_quote_that_never_ends_is_refused(self) -> None:
        assert "not CSV" in Reading("skypilot-aws", sound("skypilot-aws") + b'"' + b"x,\n" * 90_000).fault

    def test_an_endless_line_is_refused(self) -> None:
        content = b"InstanceType," + b"x" * (tables.LONGEST_LINE + 10)
        assert "1,000,000 bytes" in Reading("skypilot-aws", content).fault

    def test_a_bomb_is_refused_before_it_grows(self) -> None:
        stream = unpack.unpacked(io.BytesIO(gzip.compress(b"\n" * 64_000_000)))
        assert len(stream.read(16 * 2**20 - 65536)) == 16 * 2**20 - 65536
        with pytest.raises(FileFault, match="200 times its size"):
            stream.read()

    def test_one_endless_json_value_is_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(json_stream, "LONGEST_VALUE", 100_000)
        content = b'{"items": [{"text": "' + b"x" * 2_000_000
        assert "more than 100,000 characters" in Reading("oci", content).fault


class TestRows:
    """Faults of one row refuse that row and leave the others."""

    @pytest.mark.parametrize("name", [*CSV_NAMES, "own"])
    def test_a_row_that_is_too_short_or_too_long_is_refused_alone(self, name: str) -> None:
        content = sound(name)
        plain = Reading(name, content)
        tail = b'"Linux","Shared",short\n' if name == "aws-price-list" else b"short,row\n"
        reading = Reading(name, content.rstrip(b"\r\n") + b"\n" + tail)
        assert not reading.fault
        assert reading.quotes == plain.quotes
        assert " fields, not " in next(r.reason for r in reading.refused if r not in plain.refused)

    @pytest.mark.parametrize(
        ("price", "reason"),
        [
            ("", "Price is blank, which is unknown"),
            ("   ", "Price is blank, which is unknown"),
            ("0", "Price: a price of 0 is unknown, not free"),
            ("0.00", "Price: a price of 0 is unknown, not free"),
            ("-0.0", "Price: a price of 0 is unknown, not free"),
            ("-3.5", "Price: the price -3.5 is below 0"),
            ("NaN", "Price: 'NaN' is not a number such as 2.49"),
            ("Infinity", "Price: 'Infinity' is not a number such as 2.49"),
            ("-inf", "Price: '-inf' is not a number such as 2.49"),
            ("1e400", "Price: 1e+400 an hour is above 1,000,000, which no machine costs"),
            ("1e-400", "Price: 1E-400 is too small to be a price"),
            ("1e99999", "Price: '1e99999' is not a number such as 2.49"),
            ("9" * 5000, f"Price: '{'9' * 60}' is not a number such as 2.49"),
            ("99999999", "Price: 1.000e+8 an hour is above 1,000,000, which no machine costs"),
            ("2,49", "Price: '2,49' is not a number such as 2.49"),
            ("$2.49", "Price: '$2.49' is not a number such as 2.49"),
            ("0x10", "Price: '0x10' is not a number such as 2.49"),
            ("٣", "Price: '٣' is not a number such as 2.49"),
            ("1_000", "Price: '1_000' is not a number such as 2.49"),
        ],
    )
    def test_no_such_price_is_taken(self, price: str, reason: str) -> None:
        table = (
            "InstanceType,AcceleratorName,AcceleratorCount,vCPUs,MemoryGiB,Price,SpotPrice,Region\n"
            f'p5.48xlarge,H100,8,192,2048,"{price}",,us-east-1\n'
            "p4d.24xlarge,A100,8,96,1152,21.96,,us-east-1\n"
        )
        reading = Reading("skypilot-aws", table.encode())
        assert [(r.row, r.reason) for r in reading.refused] == [(2, reason)]
        assert list(reading.prices.values()) == ["21.96"]

    @pytest.mark.parametrize("count", ["-1", "NaN", "1e9", "eight", "1e-9", "inf"])
    def test_no_such_number_of_gpus_is_taken(self, count: str) -> None:
        table = (
            "InstanceType,AcceleratorName,AcceleratorCount,vCPUs,MemoryGiB,Price,SpotPrice,Region\n"
            f"p5.48xlarge,H100,{count},192,2048,55.04,,us-east-1\n"
        )
        reading = Reading("skypilot-aws", table.encode())
        assert not reading.quotes
        assert reading.refused[0].reason.startswith("AcceleratorCount: ")

    @pytest.mark.parametrize("value", ["NaN", "Infinity", "-1", "0", "1e400", '"abc"', "null", "[]", "{}", "true"])
    def test_no_such_price_is_taken_from_json(self, value: str) -> None:
        content = sound("oci").replace(b'"value": 10', f'"value": {value}'.encode())
        reading = Reading("oci", content)
        assert len(reading.quotes) == 1
        assert reading.refused[0].row == "item 0"
        assert reading.refused[0].reason.startswith("value")

    @pytest.mark.parametrize("name", JSON_NAMES)
    def test_members_that_are_no_objects_are_refused_one_by_one(self, name: str) -> None:
        document = json.loads(sound(name))
        broken = _break_members(document)
        reading = Reading(name, json.dumps(broken).encode())
        assert not reading.quotes
        assert reading.refused

    def test_control_characters_and_half_characters_are_refused(self) -> None:
        content = sound("runpod").replace(b'"NVIDIA Nonesuch 1"', b'"bad\\u0007name"')
        assert any("control character" in refused.reason for refused in Reading("runpod", content).refused)
        content = sound("runpod").replace(b'"NVIDIA Nonesuch 1"', b'"bad\\ud800name"')
        assert any("control character" in refused.reason for refused in Reading("runpod", content).refused)

    def test_a_text_longer_than_is_kept_is_refused(self) -> None:
        content = sound("oci").replace(b"Compute - GPU - H100", b"Compute - GPU - " + b"H" * 300)
        assert "displayName is longer than 200 characters" in [r.reason for r in Reading("oci", content).refused]

    def test_what_is_kept_of_a_refused_row_is_short(self) -> None:
        content = sound("oci").replace(b'"value": 10', b'"value": "' + b"x" * 5000 + b'"')
        assert len(Reading("oci", content).refused[0].text) <= 500


def _break_members(document: Any) -> Any:
    """The same document with every member of its lists replaced by a number."""
    if isinstance(document, list):
        return [7 for _ in document]
    if isinstance(document, dict):
        values = {key: _break_members(value) for key, value in document.items()}
        if all(isinstance(value, dict) for value in document.values()) and len(document) > 2:
            return dict.fromkeys(values, 7)  # an object of records, as Amazon's and Lambda's lists are
        return values
    return document


class TestAnything:
    """Whatever the bytes, a reader gives quotes and refusals and does not fail."""

    @pytest.mark.parametrize("name", [*RECORDED, "own"])
    @settings(max_examples=25, deadline=None)
    @given(found=st.data())
    def test_a_sound_file_with_some_bytes_changed(self, name: str, found: st.DataObject) -> None:
        content = bytearray(sound(name))
        for _ in range(found.draw(st.integers(1, 4))):
            at = found.draw(st.integers(0, len(content) - 1))
            content[at : at + found.draw(st.integers(0, 12))] = found.draw(st.binary(max_size=12))
        _holds(Reading(name, bytes(content)))

    @settings(max_examples=60, deadline=None)
    @given(content=st.binary(max_size=300), name=st.sampled_from(sorted(SOURCES)))
    def test_any_bytes(self, content: bytes, name: str) -> None:
        _holds(Reading(name, content))


def _holds(reading: Reading) -> None:
    for refused in reading.refused:
        assert refused.reason
        assert refused.row
        refused.text.encode()
    assert not any(refused.is_whole_file for refused in reading.refused[:-1])
    for quote in reading.quotes:
        assert quote.amount is None or quote.amount > 0
        assert quote.offer.num_gpus > 0
