"""Reference values for the rule `exact`: integrals by mpmath's quadrature, and the problems they belong to.

The kernels are those of the 50-digit oracle; the integrals are mpmath's `quad` with 60 digits (tanh-sinh, which allows
a logarithm at an end), split at every kink of p and halved until the error estimate is below 1e-20. As an independent
check, Σ_i ∂L/∂x_i must be the rise of log p over the target, which needs no quadrature. Nothing of kdegrad's panels is
used. All problems take a minute, so the numbers are stored in integrals.json; `python -m tests.integrals` writes that
file, and test_exact.py recomputes a few of them in each run.
"""

from __future__ import annotations

import json
import sys
import zlib
from collections import Counter
from collections.abc import Callable
from fractions import Fraction
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from mpmath import mp, mpf

from kdegrad import Problem
from kdegrad.kernel import KERNELS
from tests.oracle import COMPACT, displacement, kernel, softmax

STORE = Path(__file__).parent / "integrals.json"
DIGITS = 60
GOAL = mpf("1e-20")
NARROWEST = mpf("1e-45")
CHECK = mpf("1e-17")
PERIOD = 360.0

COMBINATIONS = [(kind.name, False) for kind in KERNELS if "line" in kind.domains]
COMBINATIONS += [(kind.name, True) for kind in KERNELS]
SITUATIONS = ("among", "broad", "far", "narrow", "background", "wrap", "unequal")  # 30 × 7 = 210 problems
HARD = ("at the ends", "far from 0")  # where rounding shows: 30 × 2 = 60 problems
NAMED: dict[str, dict[str, Any]] = {  # where it decides
    "an edge beside the end": {
        "angles": [-999999.74],
        "logits": [0.0],
        "target": (-1e6, -999999.0),
        "kernel": "epanechnikov",
        "bandwidth": 0.74,
        "background": 1e-6,
    },
    "a smooth edge beside the end": {
        "angles": [999.96, 1001.35, 1001.05],
        "logits": [-12.5, 6.1, 9.1],
        "target": (1000.0, 1001.0),
        "kernel": "biweight",
        "bandwidth": 0.05,
        "background": 1e-12,
    },
    "a kink beside the end": {
        "angles": [-1000000.0000000747, -999819.6500449774],
        "logits": [3.51, 0.92],
        "target": (-1e6, -999980.0),
        "kernel": "triangular",
        "bandwidth": 160.34995502395452,
        "background": 1e-12,
    },
    "shares of rounded distances": {
        "angles": [-1000000.7644755102, -999998.4839403831],
        "logits": [0.08, 0.03],
        "target": (-1e6, -999996.7),
        "kernel": "triangular",
        "bandwidth": 0.22478873697507185,
        "background": 1e-12,
    },
    "a smooth edge that is steep": {
        "angles": [-999996.3596957304, -999996.3596959955],
        "logits": [-2.97, 48.98],
        "target": (-1e6, -999996.7),
        "kernel": "biweight",
        "bandwidth": 0.3403040113891121,
        "background": 1e-6,
    },
    "nodes that are rounded": {
        "angles": [-999998.4741782536],
        "logits": [0.0],
        "target": (-1e6, -999996.7),
        "kernel": "tricube",
        "bandwidth": 1.5258257430709388,
        "background": 1e-12,
    },
}


def drawn(name: str, circular: bool, situation: str) -> dict[str, Any]:
    """Return the keywords of one problem, the same at every call."""
    rng = np.random.default_rng(zlib.crc32(f"{name} {circular} {situation}".encode()))
    count = int(rng.integers(1, 6))
    angles = rng.uniform(-90.0, 90.0, count)
    logits = rng.normal(0.0, 1.5, count)
    low, high = sorted(rng.uniform(-60.0, 60.0, 2))
    options: dict[str, Any] = {"target": (low, high + 5.0), "bandwidth": float(rng.uniform(8.0, 40.0))}
    if situation == "broad":
        options["bandwidth"] = float(rng.uniform(200.0, 2000.0))
    if situation == "far" and not circular:
        angles = np.where(rng.random(count) < 0.5, -1.0, 1.0) * rng.uniform(300.0, 3000.0, count)
    if situation == "narrow":
        options["bandwidth"] = float(rng.uniform(0.2, 3.0))
    if situation in ("background", "narrow", "far"):
        wanted = situation == "background" or name in COMPACT
        options["background"] = float(rng.uniform(0.01, 0.5)) if wanted else 0.0
    if situation == "background":
        options["scale"] = 3.0
    if situation in HARD:
        angles, logits = angles[:3], logits[:3]
        options["background"] = 1e-12 if name in COMPACT else 0.0
    if situation == "at the ends":
        low, high = options["target"]
        angles = np.where(angles < 0.0, low, high) + rng.normal(size=len(angles)) * 10.0 ** rng.uniform(-8.0, -1.0)
        options["bandwidth"] = float(rng.uniform(0.05, 2.0)) * (high - low)
    if situation == "far from 0":
        offset = float(rng.choice([1e4, 1e6]))
        angles = angles + offset
        options["target"] = tuple(end + offset for end in options["target"])
    if situation == "wrap":
        options["target"] = (170.0, float(rng.uniform(200.0, 500.0))) if circular else (-1.0, 1.0)
    if situation == "unequal":
        logits *= 20.0
    if circular:
        options["period"] = PERIOD
    if name in COMPACT and not options.get("background"):
        options["bandwidth"] = max(options["bandwidth"], 1.07 * _reach(angles, options["target"], circular))
    if name == "student-t":
        options["df"] = float(rng.choice([0.5, 3.0, 12.0]))
    return {"angles": angles.tolist(), "logits": logits.tolist(), "kernel": name, "rule": "exact", **options}


def _reach(angles: np.ndarray, target: tuple[float, float], circular: bool) -> float:
    """Return the largest distance from a place in the target to the nearest point."""
    d = np.linspace(*target, 2001)[:, np.newaxis] - angles
    if circular:
        d -= PERIOD * np.rint(d / PERIOD)
    return float(np.abs(d).min(axis=1).max())


def all_problems(situations: tuple[str, ...] = SITUATIONS) -> dict[str, dict[str, Any]]:
    """Return the keywords of every problem by its name."""
    return {
        f"{name} {'circle' if circular else 'line'} {situation}": drawn(name, circular, situation)
        for name, circular in COMBINATIONS
        for situation in situations
    }


def hard_problems() -> dict[str, dict[str, Any]]:
    """Return the keywords of the problems where rounding shows."""
    return all_problems(HARD) | {label: {**options, "rule": "exact"} for label, options in NAMED.items()}


def integrals(problem: Problem) -> dict[str, Any]:
    """Return L, R_i, ∫K_i/p (which is 1 - ∂L/∂z_i/S_i), ∂L/∂x_i and ∂L/∂log h as mpf."""
    with mp.workdps(DIGITS):
        return _integrals(problem)


def _integrals(problem: Problem) -> dict[str, Any]:
    settings = problem.settings
    period, h = settings.circumference, mpf(float(settings.bandwidth))
    name = problem.kernel.name
    k = kernel(name, float(settings.bandwidth), period, float(settings.df))
    low, high = (mpf(float(end)) for end in problem.interval)
    angles = [float(x) for x in problem.angles]
    weights = softmax(problem.logits)
    share = (1 - mpf(float(settings.background))) * mpf(float(settings.scale))
    floor = mpf(float(settings.background)) / (high - low)

    @cache
    def values(t: mpf) -> list[mpf]:
        """Return log p, K_i/p, K_i'/p, ∂K_i/∂log h/p at t."""
        ks = [k(displacement(t, x, period)) for x in angles]
        p = share * mp.fdot(weights, [v.density for v in ks]) + floor
        ratios = [share * v / p for each in zip(*ks, strict=True) for v in each]
        return [mp.log(p), *ratios]

    cuts = _cuts(name, angles, h, period, low, high)
    if name == "uniform":  # constant between its edges
        parts = [[(right - left) * value for value in values((left + right) / 2)] for left, right in pairwise(cuts)]
    else:
        parts = _quadratures(values, 1 + 3 * len(angles), list(pairwise(cuts)))
    sums = [mp.fsum(part) for part in zip(*parts, strict=True)]
    means = [total / (high - low) for total in sums]
    n = len(angles)
    over_weight, slopes, widenings = (means[1 + i * n : 1 + (i + 1) * n] for i in range(3))
    truth = {
        "loss": -means[0],
        "over_weight": over_weight,
        "responsibilities": [s * ratio for s, ratio in zip(weights, over_weight, strict=True)],
        "angles": [s * slope for s, slope in zip(weights, slopes, strict=True)],
        "log_bandwidth": -mp.fdot(weights, widenings),
    }
    rise = (values(high)[0] - values(low)[0]) / (high - low)
    if name != "uniform" and abs(mp.fsum(truth["angles"]) - rise) > CHECK * (1 + max(map(abs, truth["angles"]))):
        raise ArithmeticError("Σ_i ∂L/∂x_i = [log p(b) - log p(a)]/(b-a) does not hold: quad missed a feature")
    if name == "uniform":
        _add_edges(truth, lambda t: values(t)[0], angles, h, period, low, high)
    return truth


def _quadratures(values: Callable[[mpf], list[mpf]], count: int, intervals: list[tuple[mpf, mpf]]) -> list[list[mpf]]:
    """Return the integrals of all `count` values over each interval, halved until the estimate of quad is small."""
    sums = []
    while intervals:
        left, right = intervals.pop()
        parts = []
        for index in range(count):
            part, error = mp.quad(lambda t, index=index: values(t)[index], [left, right], error=True, maxdegree=7)
            parts.append(part)
            if error > GOAL * (1 + abs(part)):
                break
        else:
            sums.append(parts)
            continue
        if right - left < NARROWEST:
            raise ArithmeticError(f"no convergence at {left}")
        middle = (left + right) / 2
        intervals += [(left, middle), (middle, right)]
    return sums


def _places(x: mpf, period: float | None, low: mpf, high: mpf) -> list[mpf]:
    """Return the coordinates in (low, high) of the place x."""
    if period is None:
        return [x] if low < x < high else []
    turns = range(int(mp.floor((low - x) / period)), int(mp.ceil((high - x) / period)) + 1)
    return [x + n * mpf(period) for n in turns if low < x + n * mpf(period) < high]


def _cuts(name: str, angles: list[float], h: mpf, period: float | None, low: mpf, high: mpf) -> list[mpf]:
    """Return the ends of the target and every place in it where some K_i may have a kink; more would do no harm."""
    away = [mpf(0)]
    if name in COMPACT:
        away += [h, -h]
    if period is not None:
        away.append(mpf(period) / 2)
    inner = {place for x in angles for shift in away for place in _places(mpf(x) + shift, period, low, high)}
    return sorted({low, high} | inner)


class Steps(NamedTuple):
    """The integrals of a problem with the kernel `uniform`, and what they are made of.

    Attributes
    ----------
    loss, responsibilities, angles, log_bandwidth
        L, R_i, ∂L/∂x_i, ∂L/∂log h; L is inf where a piece is uncovered. None for a point with an edge where another is.
    pieces
        (width/(b-a), log p) of each piece.
    """

    loss: mpf
    responsibilities: list[mpf]
    angles: list[mpf | None]
    log_bandwidth: mpf | None
    pieces: list[tuple[mpf, mpf]]


def steps(problem: Problem) -> Steps:
    """Return the integrals of `uniform`: finite sums over pieces whose ends x ± h + nP are rational numbers."""
    with mp.workdps(DIGITS):
        return _steps(problem)


def _steps(problem: Problem) -> Steps:
    settings = problem.settings
    low, high = (Fraction(end) for end in problem.interval)
    h, background = Fraction(settings.bandwidth), Fraction(settings.background)
    period = None if settings.circumference is None else Fraction(settings.circumference)
    full = period is not None and 2 * h >= period
    weights = softmax(problem.logits)
    height = Fraction(settings.scale) * (1 - background) / (period if full else 2 * h)
    floor = _real(background / (high - low))
    arcs: list[tuple[Fraction, Fraction, int]] = []  # where a kernel begins and ends, and whose it is
    for i, angle in enumerate(problem.angles):
        x = Fraction(float(angle))
        if full:
            arcs.append((low, high, i))
        elif period is None:
            arcs.append((x - h, x + h, i))
        else:
            first, last = -((x + h - low) // period), (high - x + h) // period
            arcs += [(x - h + n * period, x + h + n * period, i) for n in range(first, last + 1)]
    ends = Counter(end for begin, stop, _ in arcs for end in (begin, stop) if low < end < high)
    cuts = sorted({low, high} | set(ends))
    terms = [_real(height) * weight for weight in weights]
    pieces, shares, log_p = [], [mpf(0)] * len(weights), []
    for left, right in pairwise(cuts):
        covering = [i for begin, stop, i in arcs if begin <= left and right <= stop]
        p = mp.fsum(terms[i] for i in covering) + floor
        width = _real((right - left) / (high - low))
        log_p.append(mp.log(p) if p else -mp.inf)
        pieces.append((width, log_p[-1]))
        for i in covering:
            shares[i] += width * terms[i] / p if p else 0
    if not all(mp.isfinite(log) for log in log_p):
        return Steps(mp.inf, [], [], None, pieces)
    loss = -mp.fsum(width * log for width, log in pieces)

    width = _real(high - low)
    angles: list[mpf | None] = [mpf(0)] * len(weights)
    log_bandwidth: mpf | None = mpf(0) if full else mp.fsum(shares)
    for begin, stop, i in arcs:
        for side, end in ((-1, begin), (1, stop)):
            if not low < end < high:
                continue
            cut = cuts.index(end)
            if ends[end] > 1 or log_bandwidth is None or angles[i] is None:
                angles[i] = log_bandwidth = None
                continue
            ratio = mp.log1p(terms[i] / mp.exp(log_p[cut if side > 0 else cut - 1]))
            angles[i] -= side * ratio / width
            log_bandwidth -= _real(h) * ratio / width
    return Steps(loss, shares, angles, log_bandwidth, pieces)


def _real(x: Fraction) -> mpf:
    return mpf(x.numerator) / mpf(x.denominator)


def _add_edges(
    truth: dict[str, Any], log_p: Any, angles: list[float], h: mpf, period: float | None, low: mpf, high: mpf
) -> None:
    """Add the contribution of the jumps of `uniform`: log(p_in/p_out) at each edge, from places 1e-40 beside it."""
    if period is not None and 2 * h >= mpf(period):
        return
    aside = mpf("1e-40")
    for i, x in enumerate(angles):
        for side in (-1, 1):
            for edge in _places(mpf(x) + side * h, period, low, high):
                ratio = (log_p(edge - side * aside) - log_p(edge + side * aside)) / (high - low)
                truth["angles"][i] -= side * ratio
                truth["log_bandwidth"] -= h * ratio


def as_text(truth: dict[str, Any]) -> dict[str, Any]:
    """Return the numbers to 20 digits, for JSON."""
    return {
        key: [mp.nstr(v, 20) for v in value] if isinstance(value, list) else mp.nstr(value, 20)
        for key, value in truth.items()
    }


def main() -> None:
    """Write integrals.json."""
    store = {}
    for label, options in (all_problems() | hard_problems()).items():
        problem = Problem(**options)
        store[label] = as_text(integrals(problem))
        print(label, len(problem.angles), store[label]["loss"], file=sys.stderr, flush=True)
    STORE.write_text(json.dumps(store, indent=0) + "\n")


if __name__ == "__main__":
    main()
