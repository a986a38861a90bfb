"""Reading what people write and printing what they read."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner import units


@pytest.mark.parametrize(
    ("text", "expected"),
    [("7B", 7e9), ("2e9", 2e9), ("1.4T", 1.4e12), ("300 K", 3e5), ("4,096", 4096), ("1_000", 1000), (".5M", 5e5)],
)
def test_counts_are_read_as_people_write_them(text: str, expected: float) -> None:
    assert units.parse_count(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("80GB", 80e9), ("80 gb", 80e9), ("74.5 GiB", 74.5 * 2**30), ("512", 512), ("1TB", 1e12), ("16 KiB", 16384)],
)
def test_sizes_tell_decimal_from_binary_units(text: str, expected: float) -> None:
    assert units.parse_bytes(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1.5 h", 5400),
        ("90", 90),
        ("15 min", 900),
        ("3 days", 259200),
        ("2w", 1209600),
        ("250ms", 0.25),
        ("5 µs", 5e-6),
    ],
)
def test_times_are_read_with_their_unit(text: str, expected: float) -> None:
    assert units.parse_seconds(text) == pytest.approx(expected)


@pytest.mark.parametrize("text", ["", "  ", "7 bananas", "-3", "nan", "inf", "1e999", "0x10", "seven", "1.2.3B"])
def test_what_is_no_count_is_refused_with_examples(text: str) -> None:
    with pytest.raises(ValueError, match="a count such as"):
        units.parse_count(text)


@pytest.mark.parametrize("text", ["", "NaN", "Infinity", "free", "1.2.3", "$"])
def test_what_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not an amount"):
        units.parse_money(text)


def test_amounts_are_read_exactly() -> None:
    assert units.parse_money("$1,234.10") == Decimal("1234.10")


@given(st.decimals(allow_nan=False, allow_infinity=False, places=10, min_value=0, max_value=10**9))
def test_plain_decimals_have_no_exponent_and_keep_their_value(amount: Decimal) -> None:
    text = units.plain_decimal(amount)
    assert "E" not in text
    assert Decimal(text) == amount


@pytest.mark.parametrize(
    ("value", "text"),
    [(1234.5, "$1,234"), (2.494, "$2.49"), (0.00312, "$0.00312"), (0, "$0.00"), (1e-9, "$0.000000001")],
)
def test_money_is_printed_to_the_cent_and_finer_below_it(value: float, text: str) -> None:
    assert units.format_money(value) == text


@pytest.mark.parametrize(("kilograms", "text"), [(0.35, "350 g"), (12.4, "12.4 kg"), (89_900, "89.9 t")])
def test_mass_is_printed_in_its_own_size(kilograms: float, text: str) -> None:
    assert units.format_kilograms(kilograms) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (8.5e-4, "850 µs"),
        (0.0123, "12.3 ms"),
        (42, "42 s"),
        (900, "15 min"),
        (11520, "3.2 h"),
        (388800, "4.5 days"),
        (6652800, "11 weeks"),
        (1e9, "31.7 years"),
    ],
)
def test_times_are_printed_in_the_unit_that_reads_best(seconds: float, text: str) -> None:
    assert units.format_seconds(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (7200, "2 h"),
        (5400, "1.5 h"),
        (86_400, "1 day"),
        (259_200, "3 days"),
        (45, "45 s"),
        (0.05, "50 ms"),
        (259_201, "259201 s"),
        (0.0, "0.0 s"),
    ],
)
def test_a_duration_is_typed_as_people_do_and_reads_back_the_same(seconds: float, text: str) -> None:
    assert units.typed_seconds(seconds) == text
    assert units.parse_seconds(text) == seconds


@given(st.floats(1e-6, 1e10))
def test_any_duration_reads_back_as_it_was(seconds: float) -> None:
    assert units.parse_seconds(units.typed_seconds(seconds)) == seconds


@pytest.mark.parametrize(
    ("value", "text"), [(4096, "4,096"), (7e9, "7 B"), (8_030_261_248, "8.03 B"), (3e5, "300 K"), (12.5, "12.5")]
)
def test_counts_are_printed_with_three_digits(value: float, text: str) -> None:
    assert units.format_count(value) == text


@pytest.mark.parametrize(
    ("joules", "text"), [(81, "81 J"), (3600 * 350, "350 Wh"), (3.6e6 * 12.4, "12.4 kWh"), (3.6e9 * 5, "5 MWh")]
)
def test_energy_is_printed_in_watt_hours(joules: float, text: str) -> None:
    assert units.format_energy(joules) == text
