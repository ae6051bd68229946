"""Random numbers of a training that follow from its seed and the epoch alone."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch
from ignite.engine import Engine, Events
from monai.data.utils import set_rnd

_LARGEST_SEED = 2**31


class SeededEpochs:
    """Seed torch, numpy, Python and the random transforms of a data set at the start of every epoch.

    A training that was killed and resumed then goes through the same batches, augmentations and noise as one that was
    not. The seed of an epoch is a hash of `seed`, epoch and the number of the process among those that train together.

    With workers, the loader has to start them anew each epoch (`persistent_workers` unset): they take their seeds from
    torch's in this process when they start, and MONAI's loader hands them on to the transforms. The samplers of torch
    draw from torch's global numbers when an epoch begins, so they follow too.

    Args:
        seed: start of all random numbers.
        dataset: data set whose MONAI transforms run in this process, that is without workers.
    """

    def __init__(self, seed: int, dataset: Any) -> None:
        self.seed = seed
        self.dataset = dataset

    def attach(self, engine: Engine) -> None:
        """Follow a trainer."""
        engine.add_event_handler(Events.EPOCH_STARTED, self)

    def __call__(self, engine: Engine) -> None:
        """Seed everything for the epoch that begins."""
        rank = torch.distributed.get_rank() if torch.distributed.is_initialized() else 0
        words = np.random.SeedSequence((self.seed, engine.state.epoch, rank)).generate_state(4)
        for_torch, for_numpy, for_python, for_transforms = (int(word) % _LARGEST_SEED for word in words)
        torch.manual_seed(for_torch)
        np.random.seed(for_numpy)  # noqa: NPY002 - what draws from numpy's global numbers is not ours
        random.seed(for_python)
        set_rnd(self.dataset, for_transforms)
