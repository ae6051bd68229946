"""What this machine can do, and fair timing on it: the peaks that the shares of `projectors.py` refer to.

The floating-point peak is that of a loop of fused multiply-adds on numbers that stay in the first cache, the bandwidth
that of a copy much larger than the caches, read and written bytes counted once each. Both use the threads of numba and
torch.
"""

from __future__ import annotations

import platform
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numba
import numpy as np
import torch

CPUINFO = Path("/proc/cpuinfo")
CHAIN = 16
"""Multiply-adds on one number between its load and its store."""
NUMBERS = 2048
"""Numbers of one thread of the multiply-add loop: 8 KiB, within the first cache."""
ROUNDS = 4000
"""Times that each thread goes through its numbers: some milliseconds."""
COPY_MIB = 256
"""Size of the array that is copied."""
BUDGET_S = 3.0
"""Seconds after which one work is repeated no more, once it has run twice."""


@dataclass(frozen=True)
class Peaks:
    """The best that was measured.

    Attributes:
        gflops: float32 operations of fused multiply-adds, two each, in 1e9 per second.
        gb_per_s: bytes read and written in 1e9 per second.
    """

    gflops: float
    gb_per_s: float

    def share(self, flops: float, n_bytes: float, seconds: float) -> tuple[float, str]:
        """Return the share of the peak that binds, in [0, 1], and which it is: "flops" or "memory"."""
        of_flops, of_memory = flops / seconds / self.gflops / 1e9, n_bytes / seconds / self.gb_per_s / 1e9
        return (of_flops, "flops") if of_flops >= of_memory else (of_memory, "memory")

    def or_better(self, other: Peaks) -> Peaks:
        """Return the better of two measurements: either may have met a busy machine."""
        return Peaks(max(self.gflops, other.gflops), max(self.gb_per_s, other.gb_per_s))


def measured_peaks() -> Peaks:
    """Return the peaks of this machine: the best of many short runs."""
    return Peaks(_gflops(), _gb_per_s())


def interleaved(works: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, dict[str, float]]:
    """Run every work once, then all of them in turn, so that a slow phase of the machine is shared by all.

    Args:
        works: what to time, by name.
        repeats: timed runs of each; a work that has spent `BUDGET_S` seconds stops after two.

    Returns:
        `{name: {minimum_s, median_s}}`.
    """
    for work in works.values():
        work()
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(repeats):
        for name, work in works.items():
            if len(seconds[name]) < 2 or sum(seconds[name]) < BUDGET_S:
                seconds[name].append(_seconds(work))
    return {name: {"minimum_s": min(runs), "median_s": statistics.median(runs)} for name, runs in seconds.items()}


def use_threads(n: int) -> None:
    """Let numba and torch, and what is built on them, use `n` threads."""
    numba.set_num_threads(n)
    torch.set_num_threads(n)


def cpu_name() -> str:
    """Return what the processor calls itself."""
    lines = CPUINFO.read_text().splitlines() if CPUINFO.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _gflops() -> float:
    data = np.ones((numba.get_num_threads(), NUMBERS), np.float32)
    arguments = data, np.float32(0.5), np.float32(0.5), ROUNDS
    _multiply_add(*arguments)
    seconds = min(_seconds(lambda: _multiply_add(*arguments)) for _ in range(100))
    return 2.0 * data.size * CHAIN * ROUNDS / seconds / 1e9


def _gb_per_s() -> float:
    source = torch.ones(COPY_MIB * 2**18)
    target = torch.empty_like(source)
    target.copy_(source)
    return 2 * source.nbytes / min(_seconds(lambda: target.copy_(source)) for _ in range(20)) / 1e9


# Contraction alone: a compiler that may reassociate as well could shorten the chain. Eight chains side by side keep the
# units busy while each waits for its last result.
@numba.njit(parallel=True, fastmath={"contract"}, cache=True)
def _multiply_add(data: Any, factor: Any, summand: Any, rounds: int) -> None:
    part = data.shape[1] // 8
    for row in numba.prange(data.shape[0]):
        numbers = data[row].reshape(8, part)
        for _ in range(rounds):
            for i in range(part):
                a, b, c, d = numbers[0, i], numbers[1, i], numbers[2, i], numbers[3, i]
                e, f, g, h = numbers[4, i], numbers[5, i], numbers[6, i], numbers[7, i]
                for _ in range(CHAIN):
                    a, b, c, d = a * factor + summand, b * factor + summand, c * factor + summand, d * factor + summand
                    e, f, g, h = e * factor + summand, f * factor + summand, g * factor + summand, h * factor + summand
                numbers[0, i], numbers[1, i], numbers[2, i], numbers[3, i] = a, b, c, d
                numbers[4, i], numbers[5, i], numbers[6, i], numbers[7, i] = e, f, g, h


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
