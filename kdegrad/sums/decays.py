"""Sums of decaying exponentials, on logarithms that stay small.

    Σ_j exp(l_j - (y - s_j)/h) = exp(log - (y - place)/h)

for all y: a sum of such terms is known by a logarithm and by the place where it is taken, that of its largest term. So
distances enter by their differences alone, and log stays of the order of the l_j, however far away y is. Two sums are
joined by log a - log b, formed from the differences of logs and of places; that number is kept of each join, and a
value assigned to a sum is split among its terms in proportion to their shares, which add up to 1.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple, final

import numpy as np

from kdegrad.arrays import FloatArray, IntArray
from kdegrad.logs import log_or_minus_infinity

Excesses = list[tuple[FloatArray, FloatArray]]  # log a - log b at every join made by `running`, per recursion level


class Decay(NamedTuple):
    """Sums as functions exp(log - (y - place)/h) of y, arrays of one shape; log is -inf where there is nothing."""

    log: FloatArray
    place: FloatArray

    def at(self, index: Any) -> Decay:
        """Return some of them."""
        return Decay(self.log[index], self.place[index])


def shared(excess: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return the shares a/(a+b) and b/(a+b) of two addends, and log((a+b)/max(a, b)), for log a - log b."""
    smaller = np.exp(-np.abs(excess))
    more = 1.0 / (1.0 + smaller)
    less = smaller * more
    is_first = excess > 0.0
    return np.where(is_first, more, less), np.where(is_first, less, more), np.log1p(smaller)


def joined(first: Decay, second: Decay, per_unit: float) -> tuple[Decay, FloatArray]:
    """Return the sum of two, and log a - log b, by which they are shared."""
    with np.errstate(invalid="ignore"):  # -inf - -inf, where there is neither
        excess = (first.log - second.log) - (second.place - first.place) * per_unit
    excess[np.isneginf(first.log)] = -np.inf
    is_first = excess > 0.0
    log = np.where(is_first, first.log, second.log)
    log += shared(excess)[2]
    return Decay(log, np.where(is_first, first.place, second.place)), excess


def gathered(terms: Decay, groups: IntArray, count: int, per_unit: float) -> tuple[Decay, FloatArray]:
    """Return the sums of terms (N,) by group, (count,), and the share that each term has in its group's.

    The largest term of a group is found from logarithms that may be as large as the distances; the shares are formed
    from the differences to it.
    """
    last, peaks, totals = np.full(count, -np.inf), np.full(count, -np.inf), np.zeros(count)
    takes_part = terms.log > -np.inf
    np.maximum.at(last, groups[takes_part], terms.place[takes_part])
    last[np.isneginf(last)] = 0.0
    size = terms.log - (last[groups] - terms.place) * per_unit
    np.maximum.at(peaks, groups, size)
    largest = np.zeros(count, dtype=np.intp)
    at_peak = np.flatnonzero((size == peaks[groups]) & takes_part)
    largest[groups[at_peak]] = at_peak
    log, place = (np.append(part, 0.0)[largest] for part in terms)  # also works with no terms
    with np.errstate(invalid="ignore"):  # -inf - -inf, where nothing in a group takes part
        exponents = (terms.log - log[groups]) - (place[groups] - terms.place) * per_unit
    shares = np.exp(np.where(takes_part, exponents, -np.inf))
    np.add.at(totals, groups, shares)
    np.divide(shares, totals[groups], out=shares, where=takes_part)
    return Decay(log + log_or_minus_infinity(totals), place), shares


def running(terms: Decay, per_unit: float) -> tuple[Decay, Excesses]:
    """Return the running sums along the last axis, and the joins that lead to them.

    Neighbours are joined, the running sums of these pairs are those at every other term, and one more join gives each
    of the rest: 2 n joins, of which a term meets at most 2 log₂ n.
    """
    count = terms.log.shape[-1]
    if count == 1:
        return terms, []
    even, odd = terms.at((..., slice(None, None, 2))), terms.at((..., slice(1, None, 2)))
    pairs, lower = joined(even.at((..., slice(count // 2))), odd, per_unit)
    at_odd, excesses = running(pairs, per_unit)
    at_even, upper = joined(at_odd.at((..., slice((count - 1) // 2))), even.at((..., slice(1, None))), per_unit)
    sums = Decay(terms.log.copy(), terms.place.copy())
    for whole, odds, evens in zip(sums, at_odd, at_even, strict=True):
        whole[..., 1::2], whole[..., 2::2] = odds, evens
    return sums, [(lower, upper), *excesses]


def distributed(given: FloatArray, excesses: Excesses) -> FloatArray:
    """Return values assigned to running sums as values of their terms, each split in proportion to the shares."""
    count = given.shape[-1]
    if count == 1:
        return given
    (lower, upper), *deeper = excesses
    first, second, _ = shared(upper)
    to_terms = given.copy()
    to_terms[..., 2::2] *= second
    to_odd = given[..., 1::2].copy()
    to_odd[..., : (count - 1) // 2] += given[..., 2::2] * first
    to_pairs = distributed(to_odd, deeper)
    first, second, _ = shared(lower)
    to_terms[..., 1::2] = to_pairs * second
    to_terms[..., : count // 2 * 2 : 2] += to_pairs * first
    return to_terms


def averaged(values: FloatArray, excesses: Excesses) -> FloatArray:
    """Return the means over running sums of values of their terms, each with its share."""
    count = values.shape[-1]
    if count == 1:
        return values
    (lower, upper), *deeper = excesses
    first, second, _ = shared(lower)
    at_odd = averaged(first * values[..., : count // 2 * 2 : 2] + second * values[..., 1::2], deeper)
    first, second, _ = shared(upper)
    means = values.copy()
    means[..., 1::2] = at_odd
    means[..., 2::2] = first * at_odd[..., : (count - 1) // 2] + second * values[..., 2::2]
    return means


@final
class Windows:
    """The sums over the last w of n places, terms and sums of shape (2, n/w, w): two sides, in blocks of a window.

    On a circle, whose blocks make up a turn, that is the running sum of a block and the rest of the one before; on the
    line, of one block, the running sum alone.

    Attributes
    ----------
    terms, turn
        As they were given; the turn is infinite on the line.
    sums
        The sums over the last w places, of the shape of the terms.
    run
        The joins of each block's running sums.
    rest
        On a circle: the joins of the running sums from the end of each block backward.
    joint
        On a circle: log a - log b of the rest of the block before and the running sum, of the shape of the terms.
    """

    def __init__(self, terms: Decay, per_unit: float, turn: float) -> None:
        self.terms, self.turn = terms, turn
        self.sums, self.run = running(terms, per_unit)
        if turn < math.inf:
            backward, self.rest = running(terms.at(_BACKWARD), per_unit)
            log, place = self._block_before(backward.log), self._block_before(backward.place)
            log[..., -1] = -np.inf
            place[:, 0] -= turn
            self.sums, self.joint = joined(Decay(log, place), self.sums, per_unit)

    def distribute(self, given: FloatArray) -> FloatArray:
        """Return values assigned to the sums as values of their terms, each split in proportion to the shares."""
        if self.turn == math.inf:
            return distributed(given, self.run)
        first, second, _ = shared(self.joint)
        to_rest = np.roll(given * first, (-1, 1), axis=(1, 2))
        return distributed(given * second, self.run) + distributed(to_rest[_BACKWARD], self.rest)[_BACKWARD]

    def centres(self) -> FloatArray:
        """Return the means of the places of the sums' terms."""
        centres = averaged(self.terms.place, self.run)
        if self.turn == math.inf:
            return centres
        before = self._block_before(averaged(self.terms.place[_BACKWARD], self.rest))
        before[:, 0] -= self.turn
        first, second, _ = shared(self.joint)
        return first * before + second * centres

    @staticmethod
    def _block_before(backward: FloatArray) -> FloatArray:
        """Return for each place what is at the next one of the block before; anything for the last."""
        return np.roll(backward[_BACKWARD], (1, -1), axis=(1, 2))


_BACKWARD = (..., slice(None, None, -1))
