"""Pins down what `Settings` and `Problem` refuse and with which message, what they accept, and that they are immutable.

The refusals are those that do not concern files: ranges, points, names. A message names the option, shows the value and
says what to do instead.
"""

from __future__ import annotations

import dataclasses
import math
import re
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest

import kdegrad as kg
from kdegrad import InputError, KdegradError, Problem, SettingError, Settings
from kdegrad.domain import Circle, Line
from kdegrad.settings import CIRCUMFERENCE
from kdegrad.text import option_text, speaking_of_flags, spoken
from kdegrad.weights import log_softmax, logits_of

TARGET = {"target": (-30, 30)}
ROUNDING = 1e-15  # a few roundings of one operation
SUMMED = 1e-13  # 10⁵ terms: pairwise sums of exponentials of numbers up to 10³
TOO_LARGE = 10**400

POSITIVE = [0, 0.0, -1.0, -math.inf, math.inf, math.nan, "3", None, True, [1.0], 1j, TOO_LARGE, np.array([1.0])]
REFUSED = [
    *[("bandwidth", value, "above 0") for value in POSITIVE],
    *[("df", value, "above 0") for value in (0, -1, math.inf, math.nan, "x")],
    *[("scale", value, "above 0") for value in (0, -1, math.inf, math.nan, None)],
    *[("period", value, "above 0") for value in (0, -360, math.inf, math.nan, "circle")],
    *[("background", value, "from 0 to below 1") for value in (-0.1, 1, 1.5, math.nan, math.inf, "0", None)],
    *[("at", value, "finite number") for value in (math.inf, -math.inf, math.nan, "5", TOO_LARGE)],
    *[("bins", value, "1 to 10000000") for value in (0, -1, 10_000_001, 1.0, "9", True, None, math.nan)],
    ("target", (30, -30), "give low < high"),
    ("target", (5, 5), "low 5 is not below high 5"),
    *[("target", value, "low and high") for value in ((1,), (1, 2, 3), "ab", True, ("a", 1), (0, math.nan), (0, None))],
    *[("target", value, "finite") for value in ((0, math.inf), (-math.inf, 0))],
    ("target", (-1.7e308, 1.7e308), "wider than the range of float64"),
    ("target", (0, TOO_LARGE), "low and high"),
    ("kernel", "gausian", "gaussian"),
    ("kernel", "", "kdegrad.kernels() lists them"),
    ("kernel", "silverman", "unknown"),
    ("rule", "simpson", "midpoint, gauss, exact"),
    ("rule", "gaus", "did you mean 'gauss'"),
    ("rule", None, "midpoint"),
    ("unit", "degreees", "did you mean 'degrees'"),
    ("sums", "quick", "auto, dense, fast"),
    *[("circular", value, "true nor false") for value in ("no", "true", None, 2)],
]


@pytest.mark.parametrize(("name", "value", "words"), REFUSED, ids=lambda part: str(part)[:20])
def test_a_setting_out_of_range_is_refused_by_its_name(name, value, words):
    with pytest.raises(SettingError, match=re.escape(words)) as caught:
        Problem([0.0], **{**TARGET, name: value})
    assert caught.value.name == name
    assert str(caught.value).startswith(f"{name}: ")


@pytest.mark.parametrize("value", [-2.5, "seven", (3, 1)])
def test_a_refusal_shows_the_value(value):
    with pytest.raises(SettingError, match=re.escape(repr(value))):
        Settings(bandwidth=value)


def test_settings_that_need_each_other():
    with pytest.raises(SettingError, match=re.escape("pass target=(low, high)")) as caught:
        Problem([0.0])
    assert caught.value.name == "target"
    with speaking_of_flags(), pytest.raises(SettingError, match="--target LOW HIGH"):
        Problem([0.0])
    with pytest.raises(SettingError, match="take an interval") as caught:
        Problem([0.0], at=3.0, background=0.1)
    assert caught.value.name == "background"
    with pytest.raises(SettingError, match="wider than the circle"):
        Problem([0.0], target=(0, 361), circular=True)
    with pytest.raises(SettingError, match="wider than the circle"):
        Problem([0.0], target=(0, 7), unit="radians", circular=True)
    with pytest.raises(SettingError, match="wider than the circle"):
        Problem([0.0], target=(0, 7), period=6.9)
    assert 512.2 - 152.2 > 360.0
    assert Problem([0.0], target=(152.2, 512.2), circular=True).target == (152.2, 512.2)  # a whole turn up to rounding
    with pytest.raises(SettingError, match="1 to 10000 for the rule gauss"):
        Problem([0.0], **TARGET, rule="gauss", bins=10_001)
    with pytest.raises(SettingError, match="circular=True or period=P") as caught:
        Problem([0.0], **TARGET, kernel="von-mises")
    assert caught.value.name == "kernel"
    with pytest.raises(SettingError, match="1 to 10000000"):
        Problem([0.0], at=3.0, bins=0)
    assert Problem([0.0], at=3.0, rule="gauss", bins=10_001).settings.rule == "gauss"  # a single node does not use them


def test_the_ends_of_the_ranges_are_accepted():
    assert Settings(circular=True).circumference == 360.0
    assert Problem([0.0], target=(350, 370), circular=True).target == (350, 370)
    assert Problem([0.0], target=(-10, 10), circular=True).target == (-10, 10)
    assert Settings(bins=10_000_000).bins == 10_000_000
    assert Problem([0.0], **TARGET, rule="gauss", bins=10_000).rule.bins == 10_000
    for tiny in (5e-324, 1e308):
        Settings(bandwidth=tiny, scale=tiny, df=tiny, period=max(tiny, 60.0))
    Settings(background=math.nextafter(1.0, 0.0))


POINTS_REFUSED = [
    ([], None, "N ≥ 1"),
    (3.0, None, "shape ()"),
    ([[1.0, 2.0]], None, "shape (1, 2)"),
    (["east"], None, "'east' at place 0 is not a number"),
    ([1j], None, "complex numbers (complex128) are not numbers"),
    ([TOO_LARGE], None, "at place 0 is not a number"),
    ([[1.0], [1.0, 2.0]], None, "its parts have different lengths"),
    ([1.0, 2.0], [0.0], "2 angles but 1 logits"),
    ([0.0, math.nan], None, "point 1: angle nan"),
    ([math.inf, 0.0], None, "point 0: angle inf"),
    ([math.inf, -math.inf], None, "point 1: angle -inf"),
    (np.ma.array([0.0, 1.0], mask=[True, False]), None, "1 masked, the first at place 0"),
    (np.array([1.0, "2"], dtype=object), None, "'2' at place 1 is not a number"),
    ([0.0, 1.0], [0.0, math.inf], "point 1: logit inf"),
    ([0.0, 1.0], [math.nan, 0.0], "point 0: logit nan"),
    ([0.0, 1.0], [-math.inf, -math.inf], "all logits are -inf: give one that is finite"),
]


@pytest.mark.parametrize(("angles", "logits", "words"), POINTS_REFUSED, ids=lambda part: str(part)[:20])
def test_points_that_cannot_be_used_are_refused(angles, logits, words):
    with np.errstate(all="raise"), pytest.raises(InputError, match=re.escape(words)):
        Problem(angles, logits, **TARGET)


def test_angles_may_be_as_large_as_numbers_go():
    with np.errstate(all="raise"):
        assert len(Problem([1.7e308, 1.7e308, 0.0], **TARGET).angles) == 3


def test_labels_must_be_as_many_as_points():
    assert Problem([0.0, 1.0], labels=["a", "b"], **TARGET).labels == ("a", "b")
    with pytest.raises(InputError, match=r"labels: \['a'\] is not a list of 2 texts, one for each point"):
        Problem([0.0, 1.0], labels=["a"], **TARGET)


def test_many_faults_are_shown_up_to_twenty_with_their_total():
    with pytest.raises(InputError) as caught:
        Problem(np.full(1000, np.inf), **TARGET)
    assert caught.value.total == 1000
    assert len(caught.value.faults) == 20
    assert str(caught.value).endswith("... and 980 more faults (1000 in all)")


def test_errors_are_one_family():
    for kind in (SettingError, InputError):
        assert issubclass(kind, KdegradError)
    assert issubclass(KdegradError, ValueError)
    error = SettingError("bins", "0 is out of range")
    assert str(error.at("problem.yaml:3:7")) == "problem.yaml:3:7: 0 is out of range"
    assert error.at("--bins").name == "bins"


# --- What is accepted ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [float, int, np.float64, np.float32, np.int64, np.int8, Fraction, Decimal])
def test_numbers_of_every_kind_are_the_same_number(kind):
    problem = Problem([kind(1), kind(2)], [kind(0), kind(3)], target=(kind(-4), kind(5)), bandwidth=kind(3))
    assert kg.evaluate(problem).loss == kg.loss([1.0, 2.0], [0.0, 3.0], target=(-4.0, 5.0), bandwidth=3.0)


def test_numpy_scalars_serve_as_bins_and_flags():
    problem = Problem([0.0], **TARGET, bins=np.int64(7), circular=np.True_, background=np.float32(0.5))
    assert problem.rule.bins == 7
    assert isinstance(problem.domain, Circle)


@pytest.mark.parametrize(
    "angles", [(1, 2), [1, 2], np.array([1, 2], dtype=np.int16), range(1, 3)], ids=lambda a: type(a).__name__
)
def test_any_array_like_becomes_float64(angles):
    problem = Problem(angles, **TARGET)
    assert problem.angles.dtype == np.float64
    np.testing.assert_array_equal(problem.angles, [1.0, 2.0])
    np.testing.assert_array_equal(problem.logits, [0.0, 0.0])


def test_the_domain_follows_from_circular_period_and_unit():
    assert Problem([0.0], **TARGET).domain == Line()
    assert Problem([0.0], target=(0, 1), unit="radians").domain == Line()  # a label on the line
    for unit, circumference in CIRCUMFERENCE.items():
        assert Problem([0.0], target=(0, 1), unit=unit, circular=True).domain == Circle(circumference)
    assert Problem([0.0], target=(0, 1), period=24).domain == Circle(24.0)  # --period implies --circular
    assert {"degrees": 360.0, "radians": 2 * math.pi, "turns": 1.0} == CIRCUMFERENCE


@pytest.mark.parametrize("period", [360.0, 2.0 * math.pi, 7.0])
def test_a_circle_reduces_angles_without_rounding(period):
    angles = np.random.default_rng(0).uniform(-1.0, 1.0, 50) * 10.0 ** np.arange(-10.0, 15.0, 0.5)
    for angle, reduced in zip(angles, Circle(period).reduced(angles), strict=True):
        assert abs(reduced) <= 0.5 * period * (1.0 + 1e-15)
        assert (Fraction(angle) - Fraction(reduced)) % Fraction(period) == 0


# --- Immutable; replaced ----------------------------------------------------------------------------------------------


def test_weights_stand_for_logits():
    """The logit is the logarithm: a weight of 0 is a mask, and a common factor changes nothing."""
    problem = Problem([1.0, 2.0, 3.0], weights=[2, 0, 6], **TARGET)
    np.testing.assert_array_equal(problem.logits, [math.log(2.0), -math.inf, math.log(6.0)])
    np.testing.assert_allclose(kg.evaluate(problem).weights, [0.25, 0.0, 0.75], rtol=ROUNDING)
    other = problem.replace(weights=[1, 1, 2])
    np.testing.assert_allclose(other.logits, [0.0, 0.0, math.log(2.0)], rtol=ROUNDING)
    with pytest.raises(ValueError, match="read-only"):
        problem.logits[0] = 5.0
    with pytest.raises(InputError, match="weights: there are logits too"):
        problem.replace(weights=[1, 1, 2], logits=[0, 0, 0])


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        ([1, -1], "point 1: weight -1.0: give a finite number of at least 0"),
        ([math.nan, 1], "point 0: weight nan is a missing value"),
        ([1, math.inf], "point 1: weight inf"),
        ([0, 0], "no point has a positive weight: all weights are 0: give one above 0"),
        ([1], "2 angles but 1 weights"),
        (["1", "2"], "weights: '1' at place 0 is not a number"),
    ],
)
def test_weights_that_cannot_be_used_are_refused(weights, words):
    with pytest.raises(InputError, match=re.escape(words)):
        Problem([0.0, 1.0], weights=weights, **TARGET)


def test_a_problem_is_immutable():
    angles = np.array([1.0, 2.0])
    problem = Problem(angles, **TARGET)
    angles[0] = 99.0
    assert problem.angles[0] == 1.0
    with pytest.raises(ValueError, match="read-only"):
        problem.angles[0] = 5.0
    with pytest.raises(ValueError, match="read-only"):
        problem.logits[0] = 5.0
    with pytest.raises(dataclasses.FrozenInstanceError):
        problem.angles = angles
    with pytest.raises(dataclasses.FrozenInstanceError):
        problem.settings.bandwidth = 2.0


def test_replace_changes_what_is_named_and_keeps_the_rest():
    problem = Problem([1.0, 2.0], [0.5, 0.0], ["a", "b"], **TARGET, bandwidth=3.0, kernel="gaussian", bins=5)
    other = problem.replace(bandwidth=9.0, logits=[0.0, 0.0])
    assert other.kernel.bandwidth == 9.0
    assert other.labels == ("a", "b")
    assert other.settings == dataclasses.replace(problem.settings, bandwidth=9.0)
    np.testing.assert_array_equal(other.angles, problem.angles)
    np.testing.assert_array_equal(other.logits, [0.0, 0.0])
    assert problem.kernel.bandwidth == 3.0
    with pytest.raises(SettingError, match="above 0"):
        problem.replace(bandwidth=-1.0)
    with pytest.raises(InputError, match="3 angles but 2 logits"):
        problem.replace(angles=[1.0, 2.0, 3.0])


def test_the_defaults():
    assert Problem([0.0], **TARGET).options == {
        "target": (-30, 30),
        "kernel": "laplace",
        "bandwidth": 1.0,
        "df": 3.0,
        "bins": 360,
        "rule": "midpoint",
        "at": None,
        "scale": 1.0,
        "background": 0.0,
        "circular": False,
        "period": None,
        "unit": "degrees",
        "sums": "auto",
    }


# --- log_softmax -----------------------------------------------------------------------------------------------------


def test_log_softmax_at_any_size():
    np.testing.assert_allclose(log_softmax(np.log([1.0, 3.0, 4.0])), np.log([0.125, 0.375, 0.5]), rtol=ROUNDING)
    np.testing.assert_array_equal(log_softmax(np.array([1e4, -1e4, -np.inf])), [0.0, -2e4, -np.inf])
    np.testing.assert_array_equal(log_softmax(np.array([1.5e308, -1.5e308])), [0.0, -np.inf])
    np.testing.assert_allclose(log_softmax(np.full(1000, -1e300)), -math.log(1000.0), rtol=ROUNDING)


@pytest.mark.parametrize("count", [1, 32_768, 32_769, 100_000])
def test_log_softmax_of_many_points_is_summed_in_chunks(count):
    logits = np.random.default_rng(count).normal(-700.0, 3.0, count)
    peak = float(logits.max())
    total = math.fsum(np.exp(logits - peak))
    np.testing.assert_allclose(log_softmax(logits), logits - peak - math.log(total), rtol=SUMMED, atol=SUMMED)


def test_log_weights_of_a_problem_cannot_be_written_to():
    problem = Problem([0.0, 1.0], [0.0, math.log(3.0)], target=(-1.0, 1.0))
    np.testing.assert_allclose(np.exp(problem.log_weights), [0.25, 0.75], rtol=ROUNDING)
    with pytest.raises(ValueError, match="read-only"):
        problem.log_weights[0] = 0.0


def test_logits_of_weights_are_their_logarithms():
    np.testing.assert_array_equal(logits_of(np.array([0.0, 1.0, math.e])), [-np.inf, 0.0, 1.0])


def test_top_level_names():
    assert set(kg.__all__) <= set(dir(kg))
    with pytest.raises(AttributeError, match="no attribute 'losss'"):
        kg.losss  # noqa: B018  # the access is what is tested


@pytest.mark.parametrize(
    "options",
    [
        {"circular": "False"},
        {"circular": "True"},
        {"bandwidth": np.complex128(3 + 4j)},
        {"bandwidth": np.True_},
        {"bandwidth": np.bytes_(b"10")},
        {"bandwidth": np.array("x")},
        {"bandwidth": Decimal("sNaN")},
        {"target": {-30, 30}},
        {"target": {-30: 0, 30: 1}},
        {"bins": np.array([5])},
    ],
)
def test_a_value_of_a_wrong_type_is_refused_even_if_it_converts(options):
    with pytest.raises(SettingError) as caught:
        Problem([0.0], **TARGET | options)
    assert caught.value.name == next(iter(options))


def test_settings_do_not_change_with_a_numpy_array():
    """A number given as an array without dimensions is copied."""
    given = {"bandwidth": 10.0, "background": 0.5, "scale": 2.0, "df": 4.0, "at": 3.0, "period": 360.0, "bins": 5}
    arrays = {name: np.array(value) for name, value in given.items()}
    problem = Problem([0.0], **TARGET, **arrays)
    for array in arrays.values():
        array[...] = -7
    assert problem.options == Problem([0.0], **TARGET, **given).options
    assert all(type(problem.options[name]) is type(value) for name, value in given.items())


@pytest.mark.parametrize("labels", [5, object(), "ab", {"a", "b"}, [1, 2], ["a", None]])
def test_labels_that_are_not_a_list_of_texts_are_refused(labels):
    with pytest.raises(InputError, match=r"labels: .* is not a list of 2 texts"):
        Problem([1.0, 2.0], labels=labels, **TARGET)


def test_labels_may_come_from_a_generator():
    assert Problem([1.0, 2.0], labels=(name for name in "ab"), **TARGET).labels == ("a", "b")


def test_a_narrow_kernel_or_a_wide_circle_gives_no_warning():
    """Warnings are errors in these tests."""
    x = np.random.default_rng(0).uniform(-1, 1, 3000)
    assert kg.loss(x, target=(-1, 1), kernel="gaussian", bandwidth=1e-160, bins=1000, sums="fast") > 0.0
    assert np.isfinite(kg.loss([0.0, 1.0], target=(0, 1), kernel="gaussian", period=1e160))


def test_a_target_as_narrow_as_one_rounding_has_gradients():
    problem = Problem([0.3, 0.7], target=(1.0, 1.0 + 2.0**-52), rule="exact", kernel="epanechnikov", bandwidth=2)
    assert np.isfinite(kg.evaluate(problem, wrt="angles").gradients.angles).all()


def test_messages_speak_of_keywords_and_on_the_command_line_of_flags():
    assert option_text("angle-column", "NAME") == "angle_column=NAME"
    assert option_text("target-points") == "target_points"
    with speaking_of_flags():
        assert option_text("angle-column", "NAME") == "--angle-column NAME"
        assert option_text("target-points") == "--target-points"
        assert spoken("flag", "keyword") == "flag"
    assert spoken("flag", "keyword") == "keyword"
    assert str(SettingError("target-columns", "names nothing")) == "target_columns: names nothing"


def test_a_problem_has_the_name_of_what_it_is_and_keeps_it():
    assert Problem([0.0], target=(0, 1)).name is None
    named = Problem([0.0], target=(0, 1), name="a.csv")
    assert (named.name, named.replace(bandwidth=2.0).name, named.replace(name="b").name) == ("a.csv", "a.csv", "b")
    with pytest.raises(KdegradError, match="name: 3 is not text"):
        Problem([0.0], target=(0, 1), name=3)


@pytest.mark.parametrize(
    ("weights", "counted"),
    [([3, 0, 11], 14), ([0.5, 0.5], None), ([1, 1], None), ([2.0, 1.5], None), ([1e300, 2.0], None)],
)
def test_whole_weights_are_counts(weights, counted):
    assert Problem(range(len(weights)), weights=weights, target=(0, 1)).counted == counted
    assert Problem(range(len(weights)), np.log(np.maximum(weights, 0.5)), target=(0, 1)).counted is None
    problem = Problem(range(len(weights)), weights=weights, target=(0, 1))
    assert problem.replace(bandwidth=2, angles=problem.angles + 1).counted == counted
    assert problem.replace(logits=np.zeros(len(weights))).counted is None
    assert problem.replace(weights=[3] * len(weights)).counted == 3 * len(weights)


# --- units ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("alias", "unit"),
    [("rad", "radians"), ("Radian", "radians"), ("deg", "degrees"), ("degree", "degrees"), ("turn", "turns")],
)
def test_units_have_other_names(alias, unit):
    assert Problem([0.0], target=(0, 0.5), unit=alias, circular=True).settings.unit == unit


@pytest.mark.parametrize(
    ("period", "unit"),
    [(360, "radians"), (360, "turns"), (24, "radians"), (1, "radians"), (6.2, "radians"), (20, "turns")],
)
def test_a_period_that_is_no_turn_of_the_unit_contradicts_it(period, unit):
    with pytest.raises(SettingError, match=f"^period: {period} contradicts the unit {unit}, in which a full turn is"):
        Problem([0.0], target=(0, 0.5), period=period, unit=unit)


@pytest.mark.parametrize(
    ("period", "unit"),
    [
        (2 * math.pi, "radians"),
        (6.283, "rad"),
        (3.14, "radians"),
        (4 * math.pi, "radians"),
        (0.5, "turns"),
        (24, "degrees"),
    ],
)
def test_a_period_may_be_given_in_its_unit(period, unit):
    """Axes have the period 180 in degrees; and degrees are the unit of those who say nothing about it."""
    assert Problem([0.0], target=(0, 0.5), period=period, unit=unit).domain == Circle(period)
