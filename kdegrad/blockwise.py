"""The losses and gradients of a batch, in blocks of problems whose arrays stay in the cache.

A block is one computation along the last axis: by windows where the kernel is an exponential of the distance and they
serve, else by all pairs. A problem of so many pairs that it is no small one is summed on its own, by the scheme of a
single problem, and so are all with the rule ``exact``, whose nodes depend on the density.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Generator, Iterator
from functools import partial
from threading import Lock, Thread
from typing import Final

import numpy as np

from kdegrad.arrays import FloatArray, IntArray
from kdegrad.batch import Batch, Block
from kdegrad.crossentropy import CrossEntropy, Gradients
from kdegrad.evaluation import BatchEvaluation, evaluation_of
from kdegrad.sums.blocks import BlockDensity, block_size
from kdegrad.sums.windows import WindowDensity, window_block_size, windows_pay
from kdegrad.weights import log_softmax

_ALONE: Final = 1 << 18  # pairs: a problem with more is summed on its own, with an overhead of a few per cent
_ALONE_BY_WINDOWS: Final = 1 << 16  # the same for points plus nodes, where windows could serve it
_SHARED: Final = 1 << 20  # pairs, 6 ms with gaussian: a thread that has fewer saves little, or costs time
_MOST_THREADS: Final = 4  # a block holds the interpreter's lock for a tenth of its time, in some 60 short pieces
_KEPT: Final = 1 << 20  # numbers, 8 MiB: twice as much holds the arrays of a block

OF_POINTS: Final = ("weights", "logits", "per_weight", "responsibilities", "angles")
OF_PROBLEMS: Final = ("losses", "uncovered", "log_bandwidth")

Scheme = type[BlockDensity] | type[WindowDensity]
Task = Callable[[], tuple[str, int]]  # writes its own part of the results, and returns what summed how many problems


def batch_evaluation(batch: Batch, wrt: Collection[str]) -> BatchEvaluation:
    """Return the losses of a batch, and their gradients with respect to what `wrt` names of `WRT`."""
    wanted = ["losses", "uncovered", "weights"]
    wanted += ["logits", "per_weight", "responsibilities"] if wrt else []
    wanted += ["angles"] if "angles" in wrt else []
    wanted += ["log_bandwidth"] if "bandwidth" in wrt else []
    found, sums = computed(batch, wanted)
    shaped = {name: found[name].reshape(batch.angles.shape) for name in OF_POINTS if name in found}
    gradients = None
    if wrt:
        parts = (shaped["logits"], shaped["per_weight"], shaped["responsibilities"])
        gradients = Gradients(*parts, angles=shaped.get("angles"), wrt=tuple(wrt))
    return BatchEvaluation(
        batch=batch,
        losses=found["losses"],
        kl=None if batch.intervals is None else found["losses"] - np.log(batch.intervals[1] - batch.intervals[0]),
        weights=shaped["weights"],
        gradients=gradients,
        log_bandwidth=found.get("log_bandwidth"),
        uncovered=found["uncovered"].astype(np.intp),
        sums=sums,
    )


@np.errstate(all="ignore")  # what overflows is reported as not finite, whatever the caller has set
def computed(batch: Batch, wanted: Collection[str], threads: int = 1) -> tuple[dict[str, FloatArray], dict[str, int]]:
    """Return what is wanted of `OF_POINTS`, each (M,), and of `OF_PROBLEMS`, each (G,); and what summed how many.

    Gradients are NaN in a problem whose loss is infinite. The numbers are the same with any number of threads.
    """
    size = {name: batch.angles.size if name in OF_POINTS else len(batch) for name in wanted}
    out = {name: np.empty(size[name]) for name in wanted}
    sums: Counter[str] = Counter()
    alone, together = _parted(batch)
    _keep_memory_between_blocks()
    for name, count in _done(_tasks(batch, alone, together, out), min(threads, _useful_threads(batch, together))):
        sums[name] += count
    return out, dict(sums)


def _useful_threads(batch: Batch, together: IntArray) -> int:
    """Return how many threads save time, if the machine has as many.

    By all pairs two are 1.2 to 1.5 times as fast as one. Running sums keep the interpreter's lock for most of their
    time, problems that are summed alone for much of it: there two are slower, or hardly faster.
    """
    if _by_windows(batch):
        return 1
    pairs = int((batch.counts[together] * batch.node_counts[together]).sum())
    return min(_MOST_THREADS, max(1, pairs // _SHARED))


def _tasks(batch: Batch, alone: IntArray, together: IntArray, out: dict[str, FloatArray]) -> Generator[Task]:
    """Yield what is to be done for problems that are summed alone, and block by block for those together."""
    for scheme, block in _schemes(batch, together):
        if scheme is BlockDensity and block.angles.shape[1] * block.nodes.shape[1] > _ALONE:
            alone = np.append(alone, block.problems)  # a window did not serve it
            continue
        yield partial(_fill, batch, block, scheme, out)
    for problem in alone.tolist():
        yield partial(_fill_alone, batch, problem, out)


def _done(tasks: Generator[Task], threads: int) -> list[tuple[str, int]]:
    """Do tasks in so many threads, this one among them, and return what they return; the first error ends all.

    Each thread takes the next task when it is free: no more blocks are held than there are threads.
    """
    found: list[tuple[str, int]] = []
    errors: list[BaseException] = []
    lock = Lock()

    def work() -> None:
        try:
            while True:
                with lock:
                    task = next(tasks, None)
                if task is None:
                    return
                found.append(task())
        except BaseException as error:  # an interrupt too: the others find no more, and then it is raised
            errors.append(error)
            with lock:
                tasks.close()

    others = [Thread(target=np.errstate(all="ignore")(work)) for _ in range(threads - 1)]  # which has NumPy's defaults
    try:
        for other in others:
            other.start()
    except RuntimeError:  # no more threads, or the interpreter is about to end: this one does what is left
        others = [other for other in others if other.ident is not None]
    work()
    for other in others:
        other.join()
    if errors:
        raise errors[0]
    return found


def _keep_memory_between_blocks() -> None:
    """Have the heap keep what a block frees for the next one.

    glibc's gives the memory at its end back to the system when that is more than twice the largest array that was ever
    freed. A block would then wait for its pages anew, longer than it computes.
    """
    np.empty(_KEPT)  # freed at once; none of its pages is touched


def _parted(batch: Batch) -> tuple[IntArray, IntArray]:
    """Return the problems that are summed on their own, and the others."""
    problems, points, nodes = np.arange(len(batch)), batch.counts, batch.node_counts
    if batch.rule_name == "exact":
        is_alone = np.ones(len(batch), dtype=np.bool_)
    elif _by_windows(batch):
        is_alone = points + nodes > _ALONE_BY_WINDOWS
    else:
        is_alone = points * nodes > _ALONE
        is_alone |= batch.settings.sums == "fast"
    return problems[is_alone], problems[~is_alone]


def _by_windows(batch: Batch) -> bool:
    return batch.settings.sums != "dense" and batch.kernel.exponential_way > 0.0


def _schemes(batch: Batch, problems: IntArray) -> Iterator[tuple[Scheme, Block]]:
    """Yield the problems in blocks, each with the sums that serve it."""
    left = problems
    if _by_windows(batch):
        pay = windows_pay(batch.counts[problems], batch.node_counts[problems]) | (batch.settings.sums == "fast")
        unserved = [problems[~pay]]
        for block in batch.blocks(problems[pay], window_block_size):
            applies = np.broadcast_to(WindowDensity.applies(batch.kernel, block.nodes), len(block.problems))
            if applies.all():
                yield WindowDensity, block
                continue
            unserved.append(block.problems[~applies])
            if applies.any():
                yield WindowDensity, batch.block(block.problems[applies])
        left = np.sort(np.concatenate(unserved))
    for block in batch.blocks(left, block_size):
        yield BlockDensity, block


def _fill(batch: Batch, block: Block, scheme: Scheme, out: dict[str, FloatArray]) -> tuple[str, int]:
    """Write what is wanted of a block of problems."""
    summed = "windows" if scheme is WindowDensity else "blocks", len(block.problems)
    log_weights = log_softmax(block.logits)
    density = scheme(batch.kernel, block.angles, block.nodes, log_weights)
    at_nodes = CrossEntropy(density, block.node_weights, batch.settings, block.widths)
    losses = at_nodes.loss
    out["losses"][block.problems] = losses
    undefined = ~np.isfinite(losses)
    has_undefined = bool(undefined.any())
    if "uncovered" in out:
        is_zero = np.isneginf(at_nodes.log_density) & (block.node_weights > 0.0)
        out["uncovered"][block.problems] = is_zero.sum(axis=-1)
    of_points = out.keys() & set(OF_POINTS)
    if not of_points and "log_bandwidth" not in out:
        return summed
    weights = density.weights
    found: dict[str, FloatArray] = {}
    if "responsibilities" in of_points:
        found = vars(at_nodes.gradients(lambda: weights, of_points))
    else:
        if "logits" in of_points:
            found["logits"] = at_nodes.excess(lambda: weights)
        if "angles" in of_points:
            found["angles"] = density.slopes(*at_nodes.pulls)
    for name in of_points - {"weights"}:
        if has_undefined:
            found[name][undefined] = np.nan
        block.write(found[name], out[name])
    if "weights" in of_points:
        block.write(weights, out["weights"])
    if "log_bandwidth" in out:
        slopes = at_nodes.log_bandwidth()
        out["log_bandwidth"][block.problems] = np.where(undefined, np.nan, slopes) if has_undefined else slopes
    return summed


def _fill_alone(batch: Batch, problem: int, out: dict[str, FloatArray]) -> tuple[str, int]:
    """Write what is wanted of one problem by the sums of a single one."""
    wrt = [name for name, part in (("angles", "angles"), ("bandwidth", "log_bandwidth")) if part in out]
    if wrt or "logits" in out:
        wrt = ["logits", *wrt]
    found = evaluation_of(batch.problem(problem), wrt)
    places = batch.places(problem)
    of_problem = {"losses": found.loss, "uncovered": len(found.diagnostics.uncovered)}
    of_points = {"weights": found.weights, **(vars(found.gradients) if found.gradients is not None else {})}
    for name, array in out.items():
        if name in OF_POINTS:
            array[places] = of_points[name]
        else:
            array[problem] = of_points[name] if name == "log_bandwidth" else of_problem[name]
    return found.diagnostics.sums, 1
