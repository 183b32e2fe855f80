"""Checks of a loss of one's own in a test suite: one assertion, or one test a property.

    from kdegrad.testing import check_loss, loss_checks

    def test_my_loss():
        check_loss(my_loss, kernel="gaussian", bandwidth=10, backend="torch")

    @pytest.mark.parametrize("check", loss_checks(my_loss, kernel="gaussian", bandwidth=10))
    def test_a_property_of_my_loss(check):
        check()

They are the checks of ``kdegrad verify-props --loss``, which says more about the loss and its options.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping
from typing import Any
from unittest import SkipTest

from kdegrad.errors import SettingError
from kdegrad.properties.evaluators import judged_loss, require_meant
from kdegrad.properties.explanation import failures_in_order
from kdegrad.properties.runs import chosen, expectations, verify_loss
from kdegrad.settings import JudgedOptions, Settings
from kdegrad.text import nearest

__all__ = ["check_loss", "loss_checks"]


def check_loss(
    loss: Callable[..., Any] | type,
    *,
    backend: str | None = None,
    dtype: str = "float64",
    wrt: tuple[str, ...] = ("logits", "angles"),
    batched: bool = False,
    floor: float | None = None,
    cases: int = 20,
    seed: int = 0,
    case: int | None = None,
    only: str | Collection[str] = (),
    skip: str | Collection[str] = (),
    expected_failures: Mapping[str, str] | None = None,
    **settings: Any,
) -> None:
    """Check every property of a loss on seeded random problems.

    Parameters
    ----------
    loss
        Called as ``loss(angles, logits, (low, high), **options)`` with fresh arrays of the backend, shape (N,), and
        with those of the options below that its signature names. It returns the loss; gradients come from autograd, or
        with numpy as (loss, gradient of the logits) or (loss, {"logits": ..., "angles": ..., "bandwidth": ...}).
    backend
        ``numpy``, ``torch`` or ``jax``; None: torch for an nn.Module, else numpy.
    dtype
        ``float64`` or ``float32``.
    wrt
        What autograd is asked for: ``logits``, ``angles``, ``bandwidth``.
    batched
        Whether it takes G problems at once: arrays (G, N), a target of two arrays (G,), and returns the losses (G,).
    floor
        ε, if the loss is meant to be -log(p + ε).
    cases, seed
        How many random problems, and their seed.
    case
        The number of the one random problem to check, as a failure names it (``#3``); None: all.
    only, skip
        Ids or patterns of the properties to check, and of those to leave out; empty: all, and none.
    expected_failures
        Reasons by ids or patterns; a loss that then passes all of them fails.
    **settings
        What the loss is meant to compute: ``kernel``, ``bandwidth``, ``df``, ``bins``, ``scale``, ``background``,
        ``circular``, ``period``, ``unit``, as those of `kdegrad.loss`.

    Raises
    ------
    AssertionError
        If a property fails, or nothing could be checked; it says what the failures mean and how to see them.
    SettingError
        For an option that cannot be used.
    """
    options = JudgedOptions(backend=backend, dtype=dtype, wrt=wrt, batched=batched, floor=floor)
    like = _declared(settings)
    run = {"cases": cases, "seed": seed, "case": case, "only": only, "skip": skip}
    failed = _failures(loss, options, like, **run, expected_failures=expected_failures)
    if failed:
        raise AssertionError(failed)


def loss_checks(
    loss: Callable[..., Any] | type,
    *,
    backend: str | None = None,
    dtype: str = "float64",
    wrt: tuple[str, ...] = ("logits", "angles"),
    batched: bool = False,
    floor: float | None = None,
    cases: int = 20,
    seed: int = 0,
    case: int | None = None,
    only: str | Collection[str] = (),
    skip: str | Collection[str] = (),
    expected_failures: Mapping[str, str] | None = None,
    **settings: Any,
) -> list[Callable[[], None]]:
    """Return a check for each property, for ``pytest.mark.parametrize`` or a loop with ``subTest``.

    A check is a function that bears the id of its property; nothing of the loss is called before it is. The parameters
    are those of `check_loss`. A property that is expected to fail is skipped with the reason where it does, and fails
    where it passes in every case, if no other is expected with it.
    """
    options = JudgedOptions(backend=backend, dtype=dtype, wrt=wrt, batched=batched, floor=floor)
    like = _declared(settings)
    expected = expectations(expected_failures)

    def check_of(id_: str) -> Callable[[], None]:
        def check() -> None:
            failed = _failures(loss, options, like, cases=cases, seed=seed, case=case, only=id_)
            for _, ids, why in expected:
                if id_ in ids and failed:
                    raise SkipTest(f"expected to fail ({why})")
                if ids == [id_] and case is None:
                    raise AssertionError(f"{id_} was expected to fail ({why}), and passes: take the expectation away")
            if failed:
                raise AssertionError(failed)

        check.__name__ = id_  # by which pytest names the test
        return check

    return [check_of(property_.id) for property_ in chosen(only, skip)]


def _declared(settings: Mapping[str, Any]) -> Settings:
    """Return what a loss is meant to compute; SettingError for a keyword that there is not, or not here."""
    known = [row.name for row in Settings.rows]
    for name in settings:
        if name not in known:
            every = [*known, *inspect.signature(check_loss).parameters]
            raise SettingError(name, f"there is no such option of a judged loss{nearest(name, every)}")
    like = Settings(**settings)
    require_meant(like, settings)
    return like


def _failures(loss: Callable[..., Any] | type, options: JudgedOptions, like: Settings, **run: Any) -> str:
    """Return what failed and what it means; empty if nothing did. Raise SkipTest if nothing could be checked."""
    module, name = (getattr(loss, part, None) for part in ("__module__", "__qualname__"))
    judged = judged_loss(loss, f"{module}:{name}" if name else repr(loss), options, like)
    verdicts = verify_loss(judged, like, **run)
    failed = failures_in_order(verdicts.failed)
    if not failed and not verdicts.counts["passed"]:
        raise SkipTest("; ".join(dict.fromkeys(verdict.reason for verdict in verdicts)))
    if not failed:
        return ""
    first, count = failed[0], len({verdict.property for verdict in verdicts})
    lines = [f"{judged.of.name}: {len(failed)} of {count} properties fail", "", f"{first.property}: {first.said()}"]
    lines += [f"    {line}" for line in f"{first.details}{first.reason}\n{first.reproduce}".splitlines()]
    lines += ["", *first.example.splitlines(), ""]
    lines += [f"{verdict.property}: {verdict.said()}" for verdict in failed[1:]]
    return "\n".join(lines).rstrip()
