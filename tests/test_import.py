"""What loading the package and its command line costs."""

import resource
import subprocess
import sys

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
        """Return the time of the processor, which other tests beside this one hardly change."""
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        _loaded(code)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    assert min(seconds() for _ in range(5)) < 0.3
