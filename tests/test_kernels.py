"""The kernels, one law over the whole registry: densities, even, non-increasing, right in every form.

Values and derivatives are held to the 50-digit oracle at places from the centre to 10⁶ bandwidths out; where scipy has
the density, to scipy as well, so that the oracle is not alone. Then the conventions: kinks, edges, antipode, names.
"""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
import scipy.special
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from mpmath import mp, mpf

import kdegrad as kg
from kdegrad import SettingError
from kdegrad.domain import Circle, Line
from kdegrad.kernel import BY_NAME, KERNELS, Smoothness, UnboundedKernel, make_kernel, register, special
from kdegrad.logs import log1p_square
from tests import oracle, problems

PERIOD = 360.0
BANDWIDTHS = [
    1e-6,
    0.3,
    17.0,
    100.0,
    143.9,
    144.1,
    1e4,
    1e9,
]  # 144 = 0.4·P is where the wrapped gaussian changes series
# Places in bandwidths: none within rounding of an edge at 1.
PLACES = [0.0, 1e-9, 0.013, 0.5, 0.987, 1.0 - 1e-12, 1.7, 6.3, 41.0, 977.0, 1e6]

# log K and k' are a few roundings of u away from the truth; u itself is rounded once: K(u(1+ε)) is off by ε|u k'(u)|.
ROUNDINGS = 8 * oracle.EPS
# scipy's own densities are good to some 1e-13 in the tails.
SCIPY = 1e-12
# Gauss-Legendre with 400 nodes on pieces between kinks; the integrands are smooth there.
INTEGRAL = 1e-13

ON_LINE = [pytest.param(options, id=label) for label, options in problems.ON_LINE.items()]
ON_CIRCLE = [pytest.param(options, id=label) for label, options in problems.ON_CIRCLE.items()]
EVERY = [
    *[pytest.param(options, Line(), id=f"line-{label}") for label, options in problems.ON_LINE.items()],
    *[pytest.param(options, Circle(PERIOD), id=f"circle-{label}") for label, options in problems.ON_CIRCLE.items()],
]


def make(options, bandwidth, domain):
    return make_kernel(options["kernel"], bandwidth, domain, options.get("df", 3.0))


def displacements(bandwidth, domain):
    """Return places of both signs in the unit of the angles; on a circle up to the antipode."""
    d = bandwidth * np.array(PLACES)
    if isinstance(domain, Circle):
        half = 0.5 * domain.period
        d = np.unique(np.concatenate([d[d < half], half * np.array([0.1, 0.7, 0.999999, 1.0])]))
    return np.concatenate([-d[::-1], d])


def unfactored(pair, log_norm):
    return pair.factor * np.exp(pair.log - log_norm)


# --- Against the oracle ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bandwidth", BANDWIDTHS)
@pytest.mark.parametrize(("options", "domain"), EVERY)
def test_log_density_is_right(options, domain, bandwidth):
    kernel = make(options, bandwidth, domain)
    d = displacements(bandwidth, domain)
    found = kernel.log_density(d)
    truth = oracle_of(options, bandwidth, domain)
    with mp.workdps(oracle.DIGITS):
        for place, log in zip(d, found, strict=True):
            true = truth(mpf(place))
            if true.density == 0:
                assert log == -math.inf
                continue
            exact = mp.log(true.density)
            size = 1 + abs(exact) + abs(math.log(bandwidth)) + abs(place * true.slope / true.density)
            assert abs(mpf(log) - exact) <= ROUNDINGS * size, place


@pytest.mark.parametrize("bandwidth", BANDWIDTHS)
@pytest.mark.parametrize(("options", "domain"), EVERY)
def test_slopes_are_right(options, domain, bandwidth):
    """∂K and ∂K/∂log h relative to themselves, and to how both change within the rounding of d.

    The wrapped gaussian's slope is the sum of its turns', of which pairs cancel at d = 0: there relative to K/h.
    """
    kernel = make(options, bandwidth, domain)
    d = displacements(bandwidth, domain)
    d = d[
        np.abs(kernel.log_density(d)) < 600.0
    ]  # beyond, only the pair (log, factor) holds it: the objective tests that
    slope = unfactored(kernel.slope(d), kernel.log_norm)
    bandwidth_slope = unfactored(kernel.bandwidth_slope(d), kernel.log_norm)
    truth = oracle_of(options, bandwidth, domain)
    with mp.workdps(oracle.DIGITS):
        for index, place in enumerate(d):
            exact = mpf(place)
            true, below, above = truth(exact), truth(exact * (1 - ROUNDINGS)), truth(exact * (1 + ROUNDINGS))
            if true.density == 0:
                assert slope[index] == 0.0
                assert bandwidth_slope[index] == 0.0
                continue
            log = abs(mp.log(true.density * bandwidth))
            rounding = ROUNDINGS * (1 + log + abs(exact * true.slope / true.density))
            change = abs(above.slope - below.slope) + abs(above.density - below.density) * abs(
                true.slope / true.density
            )
            cancelled = true.density / bandwidth if options["kernel"] == "wrapped-gaussian" else 0
            tolerance = rounding * (abs(true.slope) + cancelled) + change
            assert abs(mpf(slope[index]) - true.slope) <= tolerance + mpf("1e-300"), place
            parts = 4 * true.density + abs(exact * true.slope) + abs(true.bandwidth_slope)
            change = abs(above.bandwidth_slope - below.bandwidth_slope)
            assert abs(mpf(bandwidth_slope[index]) - true.bandwidth_slope) <= 4 * rounding * parts + change, place


def oracle_of(options, bandwidth, domain):
    period = domain.period if isinstance(domain, Circle) else None
    return oracle.kernel(options["kernel"], bandwidth, period, options.get("df", 3.0))


# --- Against scipy ---------------------------------------------------------------------------------------------------

ON_THE_LINE_BY_SCIPY = {
    "gaussian": scipy.stats.norm,
    "laplace": scipy.stats.laplace,
    "logistic": scipy.stats.logistic,
    "cauchy": scipy.stats.cauchy,
    "student-t ν=0.3": scipy.stats.t(0.3),
    "student-t ν=3": scipy.stats.t(3.0),
    "student-t ν=30": scipy.stats.t(30.0),
    "uniform": scipy.stats.uniform(-1.0, 2.0),
    "triangular": scipy.stats.triang(0.5, -1.0, 2.0),
    "epanechnikov": scipy.stats.beta(2.0, 2.0, -1.0, 2.0),
    "biweight": scipy.stats.beta(3.0, 3.0, -1.0, 2.0),
    "triweight": scipy.stats.beta(4.0, 4.0, -1.0, 2.0),
}


@pytest.mark.parametrize("label", ON_THE_LINE_BY_SCIPY)
def test_line_kernels_are_scipys_densities(label):
    u = (
        np.linspace(-0.99, 0.99, 41)
        if BY_NAME[problems.ON_LINE[label]["kernel"]].tail == "compact"
        else np.linspace(-9, 9, 41)
    )
    found = make(problems.ON_LINE[label], 2.5, Line()).log_density(2.5 * u)
    np.testing.assert_allclose(found, ON_THE_LINE_BY_SCIPY[label].logpdf(u) - math.log(2.5), rtol=SCIPY, atol=SCIPY)


def test_sigmoid_is_scipys_hyperbolic_secant():
    """Scipy's hypsecant has density 1/(π cosh x), ours in u = d/h."""
    u = np.linspace(-20, 20, 41)
    found = make_kernel("sigmoid", 0.5, Line()).log_density(0.5 * u)
    np.testing.assert_allclose(found, np.log(scipy.stats.hypsecant.pdf(u)) + math.log(2.0), rtol=SCIPY, atol=SCIPY)


@pytest.mark.parametrize("kappa", [1e-3, 0.5, 10.0, 300.0])
def test_von_mises_is_scipys(kappa):
    d = np.linspace(-180, 180, 41)
    found = make_kernel("von-mises", problems.of_kappa(kappa), Circle(PERIOD)).log_density(d)
    exact = scipy.stats.vonmises(kappa).logpdf(np.radians(d)) + math.log(2 * math.pi / PERIOD)
    np.testing.assert_allclose(found, exact, rtol=SCIPY, atol=SCIPY)


@pytest.mark.parametrize("gamma", [0.01, 0.7, 5.0])
def test_wrapped_cauchy_is_scipys(gamma):
    d = np.linspace(0, 180, 41)
    found = make_kernel("wrapped-cauchy", gamma * PERIOD / (2 * math.pi), Circle(PERIOD)).log_density(d)
    exact = np.log(scipy.stats.wrapcauchy(math.exp(-gamma)).pdf(np.radians(d)) * 2 * math.pi / PERIOD)
    np.testing.assert_allclose(found, exact, rtol=1e-10, atol=SCIPY)  # scipy's own 1 + c² - 2c cos θ cancels at small γ


@pytest.mark.parametrize("bandwidth", [0.7, 5.0, 20.0])
def test_a_narrow_wrapped_gaussian_keeps_the_digits_of_its_slope_near_the_antipode(bandwidth):
    """Of its two images there, with e = P/2 - d: k' = (e - P/2 tanh(Pe/(2h²)))/h²; some roundings of P/2 /h²."""
    half, square = 0.5 * PERIOD, bandwidth * bandwidth
    d = half - np.linspace(0.0, 4.0, 50) * square / half
    e = half - d
    slope = make_kernel("wrapped-gaussian", bandwidth, Circle(PERIOD)).log_slope(d)
    np.testing.assert_allclose(slope * square / half, e / half - np.tanh(half * e / square), rtol=0, atol=2e-15)


@pytest.mark.parametrize(
    ("name", "law"), [("wrapped-gaussian", scipy.stats.norm), ("wrapped-laplace", scipy.stats.laplace)]
)
@pytest.mark.parametrize("bandwidth", [5.0, 100.0, 143.9, 144.1, 500.0])
def test_wrapped_kernels_are_sums_over_turns(name, law, bandwidth):
    d = np.linspace(-180, 180, 37)
    turns = PERIOD * np.arange(-60, 61)[:, np.newaxis]
    exact = law.pdf(d + turns, scale=bandwidth).sum(axis=0)
    found = make_kernel(name, bandwidth, Circle(PERIOD)).log_density(d)
    np.testing.assert_allclose(np.exp(found), exact, rtol=SCIPY)


# --- Laws ------------------------------------------------------------------------------------------------------------

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(400)


def integral(function, pieces):
    low, high = np.array(pieces[:-1])[:, np.newaxis], np.array(pieces[1:])[:, np.newaxis]
    at = 0.5 * (low + high) + 0.5 * (high - low) * _NODES
    return float((0.5 * (high - low) * _WEIGHTS * function(at)).sum())


@pytest.mark.parametrize("options", ON_LINE)
def test_unit_integral_on_the_line(options):
    """By u = sinh s, so that the heaviest tail (ν = 0.3) is reached: K(u) du beyond s = 120 is below e^-36."""
    kernel = make(options, 2.0, Line())
    if kernel.tail == "compact":
        total = 2 * integral(lambda d: np.exp(kernel.log_density(d)), [0.0, 2.0])
    else:
        total = 2 * integral(
            lambda s: np.exp(kernel.log_density(2.0 * np.sinh(s)) + np.log(2.0 * np.cosh(s))),
            [0.0, 1.0, 2.0, 4.0, 8.0, 20.0, 60.0, 120.0],
        )
    assert math.isclose(total, 1.0, rel_tol=INTEGRAL)


@pytest.mark.parametrize("bandwidth", [2.0, 77.0, 143.9, 144.1, 190.0, 1e5])
@pytest.mark.parametrize("options", ON_CIRCLE)
def test_unit_integral_on_the_circle(options, bandwidth):
    kernel = make(options, bandwidth, Circle(PERIOD))
    pieces = sorted({0.0, min(bandwidth, 180.0), min(4 * bandwidth, 180.0), min(40 * bandwidth, 180.0), 180.0})
    total = 2 * integral(lambda d: np.exp(kernel.log_density(d)), pieces)
    assert math.isclose(total, 1.0, rel_tol=INTEGRAL)


@pytest.mark.parametrize("bandwidth", BANDWIDTHS)
@pytest.mark.parametrize(("options", "domain"), EVERY)
def test_even_and_never_increasing(options, domain, bandwidth):
    kernel = make(options, bandwidth, domain)
    reach = min(1e3 * bandwidth, 0.5 * domain.measure)
    d = np.linspace(0.0, reach, 2001)
    log = kernel.log_density(d)
    size = ROUNDINGS * (1.0 + np.abs(np.where(np.isfinite(log), log, 0.0)))
    assert not np.isnan(log).any()
    assert (log[1:] <= log[:-1] + size[:-1]).all()
    assert within(kernel.log_density(-d), log, size)
    for derivative, sign in ((kernel.slope, -1.0), (kernel.bandwidth_slope, 1.0)):
        here, mirrored = derivative(d), derivative(-d)
        assert np.isfinite(here.factor).all()
        assert within(mirrored.log, here.log, size)
        assert within(mirrored.factor, sign * here.factor, ROUNDINGS * (np.abs(here.factor).max() + 1.0))


def within(found, true, tolerance):
    """Return whether all agree; an infinity agrees with itself."""
    return all(
        f == t or abs(f - t) <= e for f, t, e in zip(found, true, np.broadcast_to(tolerance, true.shape), strict=True)
    )


@pytest.mark.parametrize("v", [1e-8, 1e-3, 0.3, 0.999, 1.001, 2.5, 9.0, 60.0, 1e6])
@pytest.mark.parametrize("options", ON_LINE)
def test_mass_is_the_integral_to_round_off_small_and_large(options, v):
    kernel = make(options, 1.0, Line())
    with mp.workdps(oracle.DIGITS):
        exact = oracle.mass(options["kernel"], mpf(v), options.get("df", 3.0))
        assert abs(mpf(kernel.mass(v)) / exact - 1) < 32 * oracle.EPS


# --- Conventions -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("options", "domain"), EVERY)
def test_at_the_centre_the_slope_is_the_mean_of_its_sides(options, domain):
    assert make(options, 3.0, domain).slope(np.zeros(1)).factor[0] == 0.0


@pytest.mark.parametrize(("name", "df"), [("cauchy", 1.0), ("student-t", 0.3), ("student-t", 1e6)])
@pytest.mark.parametrize("u", [-1e300, 1e160])
def test_heavy_tails_fall_as_a_power_as_far_as_floats_go(name, df, u):
    """K ~ |u|^-(ν+1), so ∂log K_h/∂d → -(ν+1)/d and ∂log K_h/∂log h → ν, also where u² overflows."""
    kernel = make_kernel(name, 1.0, Line(), df)
    d = np.array([u])
    np.testing.assert_allclose(kernel.slope(d).factor, -(df + 1.0) / d, rtol=1e-14)
    np.testing.assert_allclose(kernel.bandwidth_slope(d).factor, df, rtol=1e-14 * (df + 2.0) / df)


@pytest.mark.parametrize("d", [1e-310, 5e-324])
@pytest.mark.parametrize("name", ["cauchy", "student-t"])
def test_next_to_the_centre_a_heavy_tail_is_flat_without_a_warning(name, d):
    """There ν/u is outside the range of float64, and ∂log K_h/∂d = -(ν+1) / (h (ν/u + u)) is 0 to all digits."""
    np.testing.assert_allclose(make_kernel(name, 1.0, Line()).log_slope(np.array([d, -d])), 0.0, atol=1e-300)


@pytest.mark.parametrize("domain", [Line(), Circle(PERIOD)], ids=["line", "circle"])
@pytest.mark.parametrize("name", oracle.COMPACT)
def test_at_the_edge_slopes_are_half_of_the_inner_ones(name, domain):
    """For triangular K' = ∓1/h² inside; half of it at the edge. The others but cosine meet the edge flat or are 0."""
    kernel = make_kernel(name, 2.0, domain)

    def slope(*d):
        return unfactored(kernel.slope(np.array(d)), kernel.log_norm)

    np.testing.assert_allclose(
        slope(2.0, -2.0), 0.5 * slope(np.nextafter(2.0, 0.0), -np.nextafter(2.0, 0.0)), atol=1e-15
    )
    assert slope(2.0 + 1e-12)[0] == 0.0


@pytest.mark.parametrize("bandwidth", [1.0, 3.0])
@pytest.mark.parametrize("name", [name for name in oracle.COMPACT if name != "uniform"])
def test_next_to_the_edge_nothing_cancels(name, bandwidth):
    """The difference h - |d| is exact there (Sterbenz): K has all its digits, where 1 - u would have few."""
    d = bandwidth - 2.0 ** -np.arange(10.0, 51.0, 4.0)
    found = make_kernel(name, bandwidth, Line()).log_density(d)
    truth = oracle.kernel(name, bandwidth)
    with mp.workdps(oracle.DIGITS):
        for place, log in zip(d, found, strict=True):
            exact = mp.log(truth(mpf(place)).density)
            assert abs(mpf(log) - exact) < ROUNDINGS * (1 + abs(exact))


def test_uniform_counts_its_edge_in():
    kernel = make_kernel("uniform", 2.0, Line())
    np.testing.assert_array_equal(kernel.log_shape(np.array([2.0, -2.0, np.nextafter(2.0, 3.0)])), [0.0, 0.0, -np.inf])


@pytest.mark.parametrize("options", ON_CIRCLE)
def test_at_the_antipode_the_slope_is_the_mean_of_its_sides(options):
    kernel = make(options, 200.0, Circle(PERIOD))
    slope = unfactored(kernel.slope(np.array([180.0, -180.0])), kernel.log_norm)
    np.testing.assert_allclose(slope, 0.0, atol=1e-18)


def test_a_line_kernel_of_small_reach_is_the_same_on_a_large_circle():
    d = np.linspace(-20, 20, 9)
    for options in problems.ON_LINE.values():
        if options.get("df", 3.0) < 30 or options["kernel"] in ("cauchy", "student-t"):
            continue
        on_line, on_circle = (make(options, 1.0, domain) for domain in (Line(), Circle(1e4)))
        np.testing.assert_allclose(on_line.log_density(d), on_circle.log_density(d), rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize("bandwidth", [1e-150, 1e-75, 1e75, 1e155, 1e300])
@pytest.mark.parametrize(("options", "domain"), EVERY)
def test_no_bandwidth_overflows(options, domain, bandwidth):
    """Every finite h is legal: nothing raises, warns or is NaN where log K is within the floats (u² ≤ 1e304)."""
    kernel = make(options, bandwidth, domain)
    d = np.array([0.0, 0.5, -30.0, 180.0])
    assert not np.isnan(kernel.log_density(d)).any()
    for pair in (kernel.slope(d), kernel.bandwidth_slope(d)):
        assert np.isfinite(pair.factor).all()


@pytest.mark.parametrize(
    ("name", "domain"), [("cauchy", Line()), ("student-t", Line()), ("wrapped-cauchy", Circle(1.0))]
)
def test_a_heavy_tail_holds_where_squares_overflow(name, domain):
    """Log K is -(ν+1) log u to the last digit; the derivatives are finite, without a warning."""
    kernel = make_kernel(name, 1e-200, domain)
    d = np.array([0.0, 1e-9])
    df = 3.0 if name == "student-t" else 1.0
    fall = np.diff(kernel.log_shape(d))[0] - 0.5 * (df + 1.0) * math.log(df)
    assert fall == pytest.approx(-(df + 1.0) * 191.0 * math.log(10.0), rel=1e-12)
    for pair in (kernel.slope(d), kernel.bandwidth_slope(d)):
        assert np.isfinite(pair.factor).all()
    np.testing.assert_allclose(
        log1p_square(np.array([1.0, 1e200])), [math.log(2.0), 400.0 * math.log(10.0)], rtol=1e-15
    )


@pytest.mark.parametrize("turns", [1e-3, 0.4, 3.0, 6.0, 40.0])
def test_a_wide_wrapped_cauchy_keeps_the_digits_of_its_bandwidth_slope(turns):
    """γ (coth γ - sinh γ/(cosh γ - cos θ)) is next to nothing where a kernel fills its circle: -2γ e^-γ cos θ or so."""
    d = np.array([0.0, 1e-4, 0.05, 0.2, 0.3, 0.5])
    found = make_kernel("wrapped-cauchy", turns, Circle(1.0)).log_bandwidth_slope(d)
    with mp.workdps(150):
        gamma = 2 * mp.pi * mpf(turns)
        for place, slope in zip(d, found, strict=True):
            exact = gamma * (mp.coth(gamma) - mp.sinh(gamma) / (mp.cosh(gamma) - mp.cos(2 * mp.pi * mpf(place))))
            size = 1 if gamma < 1 else 2 * gamma * mp.exp(-gamma)
            assert (
                abs(mpf(slope) - exact) < ROUNDINGS * (1 + gamma) * size
            )  # γ is rounded, and e^-γ has its error γ times


@pytest.mark.parametrize("df", [1e308, 1e300])
def test_a_heavy_tail_of_any_degrees_of_freedom_has_a_slope(df):
    kernel = make_kernel("student-t", 1e-10, Line(), df)
    np.testing.assert_allclose(kernel.log_slope(np.array([0.5, -0.5])), [-5e19, 5e19], rtol=1e-14)


def test_where_each_kernel_is_not_smooth():
    """At 0; at an edge that is nearer than the antipode; else at the antipode, where the shorter way turns."""
    assert {kind.name for kind in KERNELS if kind.kinked} == {"laplace", "tricube", "triangular", "wrapped-laplace"}
    for kind in (kind for kind in KERNELS if "line" in kind.domains):
        compact = kind.tail == "compact"
        for bandwidth, edge in ((10.0, 10.0 if compact else None), (180.0, None), (200.0, None)):
            kernel = make_kernel(kind.name, bandwidth, Circle(PERIOD))
            assert (kernel.kinked, kernel.jumps) == (kind.kinked, kind.name == "uniform")
            assert kernel.edge == edge
            turns = edge is None and kind.name != "uniform"
            assert kernel.antipode == (180.0 if turns else None)


@pytest.mark.parametrize("df", [0.3, 1.0, 3.0, 30.0, 1e3, 1e6])
def test_no_mass_is_more_than_all(df):
    kernel = make_kernel("student-t", 1.0, Line(), df)
    assert all(kernel.mass(v) <= 1.0 for v in np.geomspace(1.0, 1e300, 200))
    assert make_kernel("student-t", 1.0, Line()).df == 3.0


# --- Names -----------------------------------------------------------------------------------------------------------

# As the list of kernels in kdegrad/properties/README.md has them.
TABLE = {
    "gaussian": {"normal"},
    "laplace": {"exponential"},
    "logistic": set(),
    "sigmoid": {"sech"},
    "cauchy": {"lorentz"},
    "student-t": {"t"},
    "epanechnikov": {"epa", "parabolic"},
    "biweight": {"quartic"},
    "triweight": set(),
    "tricube": set(),
    "triangular": {"tri", "linear"},
    "cosine": set(),
    "uniform": {"tophat", "box"},
    "von-mises": set(),
    "wrapped-gaussian": set(),
    "wrapped-laplace": set(),
    "wrapped-cauchy": set(),
}


def test_names_and_aliases_are_those_of_the_specification():
    assert {kind.name: set(kind.aliases) for kind in KERNELS} == TABLE
    assert len(BY_NAME) == sum(1 + len(aliases) for aliases in TABLE.values())  # none hides another


def test_an_alias_makes_its_kernel_in_any_case():
    for name, aliases in TABLE.items():
        for alias in aliases:
            assert make_kernel(alias.upper(), 1.0, Circle(PERIOD)).name == name


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("gausian", "gaussian"), ("lapace", "laplace"), ("vonmises", "von-mises"), ("epanech", "epanechnikov")],
)
def test_an_unknown_name_offers_the_nearest(typed, meant):
    with pytest.raises(SettingError, match=re.escape(meant)) as caught:
        make_kernel(typed, 1.0, Circle(PERIOD))
    assert caught.value.name == "kernel"


@pytest.mark.parametrize("name", [kind.name for kind in KERNELS if "line" not in kind.domains])
def test_a_native_circle_kernel_is_refused_on_the_line(name):
    with pytest.raises(SettingError, match="circular=True or period=P"):
        make_kernel(name, 1.0, Line())


@pytest.mark.parametrize(("name", "bandwidth", "period"), [("von-mises", 1e-300, 1e300), ("gaussian", 1e300, 1e-300)])
def test_a_bandwidth_that_the_circle_cannot_hold_is_refused(name, bandwidth, period):
    with pytest.raises(SettingError, match="outside the range of float64") as caught:
        make_kernel(name, bandwidth, Circle(period))
    assert caught.value.name == "bandwidth"


def test_tail_and_support_are_said_of_every_kernel():
    assert all(kind.tail in {"light", "exponential", "heavy", "compact"} for kind in KERNELS)
    for kind in KERNELS:
        assert kind.support in ({"R", "|u| < 1", "|u| ≤ 1"} if "line" in kind.domains else {"circle"})


# --- Special functions -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("df", [1e-3, 0.1, 1.0, 2.0, 3.0, 10.0, 49.9, 50.1, 1e3, 1e6, 1e9, 1e12])
def test_normaliser_of_student_t(df):
    with mp.workdps(oracle.DIGITS):
        nu = mpf(df)
        exact = mp.loggamma((nu + 1) / 2) - mp.loggamma(nu / 2) - mp.log(nu * mp.pi) / 2
        found = make_kernel("student-t", 1.0, Line(), df).log_peak
        assert abs(mpf(found) - exact) < 8 * oracle.EPS * (1 + abs(exact) + abs(math.log(df)) / 2)


@pytest.mark.parametrize("kappa", [1e-12, 1e-3, 0.5, 3.0, 24.9, 25.1, 100.0, 1e4, 1e6])
def test_bessel_functions(kappa):
    log_kappa = math.log(kappa)
    with mp.workdps(oracle.DIGITS):
        exact = mp.exp(mpf(log_kappa))
        i0, i1 = mp.besseli(0, exact), mp.besseli(1, exact)
        # the logarithm of κ carries κ's own rounding: ε |log κ| κ in the exponent below, ε |log κ| above
        rounding = 8 * oracle.EPS * (1 + abs(log_kappa)) * (1 + min(kappa, 25.0))
        assert abs(mpf(special.log_i0e(log_kappa)) - (mp.log(i0) - exact)) < rounding
        ratio = mpf(special.two_kappa_one_minus_bessel_ratio(log_kappa)) / (2 * exact * (1 - i1 / i0))
        assert abs(ratio - 1) < rounding


def test_bessel_functions_at_their_ends():
    assert special.two_kappa_one_minus_bessel_ratio(800.0) == pytest.approx(1.0, rel=1e-15)
    assert special.log_i0e(800.0) == pytest.approx(-0.5 * (math.log(2 * math.pi) + 800.0), rel=1e-15)
    assert special.log_i0e(-800.0) == 0.0
    assert scipy.special.i0e(7.0) == pytest.approx(math.exp(special.log_i0e(math.log(7.0))), rel=1e-14)


@given(st.floats(0.0, 1e300))
def test_log1p_square_at_any_size(x):
    with mp.workdps(oracle.DIGITS):
        exact = mp.log1p(mpf(x) ** 2)
        found = float(log1p_square(np.array([x]))[0])
        assert abs(mpf(found) - exact) <= 4 * oracle.EPS * exact + mpf("5e-324")


# --- A kernel of one's own -------------------------------------------------------------------------------------------


class SquaredCauchy(UnboundedKernel):
    """K(u) = 2 / (π (1 + u²)²): Student's t with ν = 3 and the bandwidth h/√3 by another formula."""

    name = "squared-cauchy"
    aliases = ("new",)
    formula = "2/(π(1 + u²)²)"
    tail = "heavy"
    log_peak = math.log(2.0 / math.pi)

    @property
    def smoothness(self):
        return Smoothness(bend=math.inf, pole=self.bandwidth)

    def log_shape(self, d):
        return -2.0 * log1p_square(d / self.bandwidth)

    def log_slope(self, d):
        u = d / self.bandwidth
        return -4.0 * u / (1.0 + u * u) / self.bandwidth

    def mass(self, v):
        return 2.0 / math.pi * (math.atan(v) + v / (1.0 + v * v))


@pytest.fixture
def registered():
    register(SquaredCauchy)
    yield
    KERNELS.remove(SquaredCauchy)
    del BY_NAME["squared-cauchy"], BY_NAME["new"]


@pytest.mark.usefixtures("registered")
@pytest.mark.parametrize("domain", [{}, {"circular": True}], ids=["line", "circle"])
@pytest.mark.parametrize("how", [{"sums": "dense"}, {"sums": "fast"}, {"rule": "exact"}], ids=str)
def test_a_kernel_is_one_class_and_nothing_else(domain, how):
    """Sums, the exact rule and the circle ask the class alone."""
    rng = np.random.default_rng(5)
    problem = kg.Problem(rng.uniform(-170, 170, 500), rng.normal(size=500), target=(-30, 30), **domain, **how)
    wrt = ("logits", "angles", "bandwidth")
    found = kg.evaluate(problem.replace(kernel="new", bandwidth=9.0), wrt)
    known = kg.evaluate(problem.replace(kernel="student-t", bandwidth=9.0 / math.sqrt(3.0)), wrt)
    assert found.diagnostics.sums == ("cells" if how == {"sums": "fast"} else "dense")
    assert found.loss == pytest.approx(known.loss, rel=1e-12)
    np.testing.assert_allclose(found.gradients.logits, known.gradients.logits, rtol=1e-9, atol=1e-15)
    np.testing.assert_allclose(found.gradients.angles, known.gradients.angles, rtol=1e-9, atol=1e-15)
    assert found.gradients.log_bandwidth == pytest.approx(known.gradients.log_bandwidth, rel=1e-9)


def test_a_bandwidth_slope_that_overflows_belongs_to_a_kernel_that_is_0():
    """Of exp(-u⁴) at u = 7e76 the logarithm and its slope are float64, and d times the slope is not."""

    class Quartic(SquaredCauchy):
        def log_shape(self, d):
            return -((d / self.bandwidth) ** 4)

        def log_slope(self, d):
            return -4.0 * (d / self.bandwidth) ** 3 / self.bandwidth

    log, factor = Quartic(1e-75, Line()).bandwidth_slope(np.array([0.0, -70.0, 70.0]))
    np.testing.assert_array_equal(factor * np.exp(log), [-1.0, 0.0, 0.0])


@pytest.mark.usefixtures("registered")
def test_a_registered_kernel_is_listed_and_taken_everywhere(kdegrad):
    listed = [row["name"] for row in kdegrad("kernels", "--format", "csv").rows]
    assert listed.index("squared-cauchy") == listed.index("uniform") + 1  # the last on the line
    problem = kg.Problem([-40.0, 10.0], target=(-30, 30), bandwidth=9.0)
    assert {step.kernel for step in kg.sweep(problem, "kernel").steps} >= {"laplace", "squared-cauchy"}
    assert kg.loss([1.0], target=(0, 9), kernel="New") == kg.loss([1.0], target=(0, 9), kernel="squared-cauchy")
    assert kdegrad("loss", "--kernel", "new", "--format", "json").json["problem"]["kernel"] == "squared-cauchy"


@pytest.mark.usefixtures("registered")
def test_a_kernel_without_a_second_formula_is_skipped_by_the_checks():
    verdicts = kg.verify(kg.Problem([-40.0, 10.0], target=(-30, 30), kernel="new", bandwidth=9.0), cases=1)
    assert {verdict.verdict for verdict in verdicts} == {"skip"}
    assert any("no second formula" in verdict.reason for verdict in verdicts)
