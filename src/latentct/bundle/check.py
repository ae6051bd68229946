"""All faults of a bundle at once, in about a second: no MONAI, no torch, nothing of the bundle is run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from latentct.bundle.check_configs import config_faults
from latentct.bundle.check_files import file_faults
from latentct.bundle.check_metadata import metadata_faults
from latentct.bundle.check_readme import readme_faults
from latentct.bundle.check_stacks import stack_faults
from latentct.bundle.fault import Fault


def faults(bundle: Path) -> list[Fault]:
    """List everything that is wrong with a bundle and that can be told without running it.

    Files and their sizes, metadata, versions of packages, syntax and references of the configs, components and their
    arguments, ids that MONAI requires, weights, and the commands of the README. Paths in configs and README are looked
    up from the folder that holds `bundles`.

    Args:
        bundle: folder of the bundle.

    Returns:
        The faults, those of one file together; empty if all is well.
    """
    found = [*file_faults(bundle), *metadata_faults(bundle), *readme_faults(bundle), *_of_configs(bundle)]
    return sorted(found, key=lambda fault: fault.file)


def _of_configs(bundle: Path) -> Iterator[Fault]:
    """Give each fault of the configs once: in the first file, or the first stack of files, that shows it."""
    told = set()
    for file, key, sentence in (*config_faults(bundle), *stack_faults(bundle)):
        if (key, sentence) not in told:
            told.add((key, sentence))
            yield Fault(bundle.resolve().name, f"configs/{file}", key, sentence)
