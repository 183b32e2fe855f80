"""The sample of many problems is what its script makes, with groups near their target and groups far from it."""

import csv
from itertools import groupby

import numpy as np

from tests import grouped_sample


def test_the_file_is_what_the_script_makes() -> None:
    assert grouped_sample.PATH.read_text("utf-8") == grouped_sample.text()


def test_groups_are_near_their_target_and_far_from_it() -> None:
    with grouped_sample.PATH.open(encoding="utf-8") as file:
        groups = [list(rows) for _, rows in groupby(csv.DictReader(file), key=lambda row: row["image_id"])]
    assert [len(rows) for rows in groups] == [grouped_sample.CANDIDATES] * 60  # rows of a group stand together
    angles, lows, highs = (
        np.array([[float(row[name]) for row in rows] for rows in groups]) for name in ("angle", "low", "high")
    )
    assert (lows == lows[:, :1]).all()
    assert (highs == highs[:, :1]).all()
    from_middle = np.abs((angles - 0.5 * (lows + highs) + 180.0) % 360.0 - 180.0)
    nearest = (from_middle - 0.5 * (highs - lows)).min(axis=1)
    assert (nearest <= 0.0).sum() >= 30
    assert (nearest > 90.0).sum() >= 10  # all candidates are far
    in_target = (from_middle <= 0.5 * (highs - lows)).sum(axis=1)
    assert ((in_target == 1) & (np.median(from_middle, axis=1) > 120.0)).sum() >= 3  # one in it, the others far
