"""Pins down how numbers become text: the fast writer, which reads back to the same float64, and angles for people."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kdegrad.reports import as_csv, decimals
from kdegrad.reports.records import Table
from kdegrad.text import angle_texts


def csv_of(*columns: np.ndarray) -> str:
    return "".join(as_csv.text(Table("points", ("angle", "weight"), lambda: iter([columns]))))


def rows_of(*columns: np.ndarray) -> str:
    return decimals.joined([decimals.cells(column) for column in columns]).decode("ascii")


def written(values: list[float] | np.ndarray) -> list[str]:
    return rows_of(np.asarray(values, dtype=np.float64)).splitlines()


@given(st.lists(st.floats(allow_nan=False), min_size=1, max_size=30))
@example([0.0, -0.0, math.inf, -math.inf, 5e-324, 1.7976931348623157e308, 2.0**-1022, 1e22, 1e23, 1e270, 1e-270])
@example([9.999999999999999e22, 0.9999999999999999, 99.99999999999999, 2.0**53, 2.0**53 + 2, 1e15, 1e16, 1e17])
def test_every_float64_reads_back(values: list[float]) -> None:
    for text, value in zip(written(values), values, strict=True):
        assert float(text) == value
        assert math.copysign(1.0, float(text)) == math.copysign(1.0, value)


@pytest.mark.parametrize("scale", [1e-250, 1e-7, 1e-5, 1e-4, 1.0, 360.0, 1e15, 1e17, 1e250])
def test_they_are_the_digits_of_repr(scale: float) -> None:
    """Except where two decimals are equally near: often for random numbers near 2⁵⁴, seldom for others."""
    values = np.random.default_rng(0).normal(size=20_000) * scale
    same = sum(text == repr(value) for text, value in zip(written(values), values.tolist(), strict=True))
    assert same > (0.8 if scale >= 1e15 else 0.999) * len(values)


@pytest.mark.parametrize(
    "value",
    [0.1, 8.0, -0.5, 1e-4, 9.5e-5, 123456.789, 1e16, 1.5e-10, 2e300, 100.0, 1 / 3, 5e-324, 9.999999999999999e-5],
)
def test_the_layout_is_that_of_repr(value: float) -> None:
    assert written([value, -value]) == [repr(value), repr(-value)]


def test_columns_stand_side_by_side() -> None:
    assert rows_of(np.array([1.0, 2.5]), np.array([-0.25, 1e-9])) == "1.0,-0.25\n2.5,1e-09\n"


@pytest.mark.parametrize("count", [20_000, 20_001, 130_003])
@pytest.mark.parametrize("processors", [1, 3, None])
def test_many_rows_keep_their_order_however_many_threads_form_them(
    count: int, processors: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The text is that of one piece, whatever the number of processors, which may be unknown."""
    monkeypatch.setattr("os.cpu_count", lambda: processors)
    columns = np.arange(float(count)), np.random.default_rng(0).normal(size=count)
    header, _, body = csv_of(*columns).partition("\n")
    assert header == "angle,weight"
    assert body == rows_of(*columns)


def test_a_piece_that_fails_fails_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> bytes:
        raise MemoryError

    monkeypatch.setattr(decimals, "joined", fail)
    with pytest.raises(MemoryError):
        csv_of(np.zeros(100_000))


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        ([2460310.5], ["2460310.5"]),
        ([2460310.0, 2460312.25], ["2460310", "2460312.25"]),
        ([-30.0, 1e-7, 123456789.0], ["-30", "1e-07", "123456789"]),
        ([0.1 + 0.2], ["0.3"]),
        ([math.pi, -math.pi / 2], ["3.14159", "-1.5708"]),
        ([2460310.123456789], ["2460310"]),
        ([1.0 + 2.0**-52, 1.0], ["1.0000000000000002", "1"]),
        ([-8.7e17, 1e300], ["-8.7e+17", "1e+300"]),
        ([], []),
    ],
)
def test_angles_for_people(values: list[float], texts: list[str]) -> None:
    assert angle_texts(values) == texts


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=8))
def test_different_angles_are_told_apart(values: list[float]) -> None:
    texts = angle_texts(values)
    assert len(set(texts)) == len(set(values))
    assert all(abs(float(text) - value) <= 5.1e-6 * abs(value) for text, value in zip(texts, values, strict=True))
