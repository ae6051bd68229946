"""What loading the package and its command line costs."""

import subprocess
import sys
import time

import pytest

HEAVY = ("torch", "monai", "numpy", "numba", "mlflow", "nibabel", "ignite", "matplotlib", "rich")

REPORT = "import sys; print(' '.join(sorted({name.partition('.')[0] for name in sys.modules})), file=sys.stderr)"
ENTRIES = {
    "import latentct": f"import latentct; {REPORT}",
    **{
        f"latentct {words}": (
            f"import sys; sys.argv = {['latentct', *words.split()]}\n"
            f"from latentct.cli.main import main\ntry:\n    main()\nfinally:\n    {REPORT}"
        )
        for words in ("--help", "correct --help", "simulate --help", "reconstruct --help", "evaluate --help")
    },
}


def _loaded(code: str) -> set[str]:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stderr.split())


@pytest.mark.parametrize("code", ENTRIES.values(), ids=ENTRIES)
def test_loads_nothing_heavy(code):
    loaded = _loaded(code)
    assert "latentct" in loaded
    assert loaded.isdisjoint(HEAVY)


@pytest.mark.parametrize("code", ENTRIES.values(), ids=ENTRIES)
def test_starts_within_300_ms(code):
    def seconds() -> float:
        start = time.perf_counter()
        _loaded(code)
        return time.perf_counter() - start

    assert min(seconds() for _ in range(5)) < 0.3
