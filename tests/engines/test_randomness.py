"""Random numbers that follow from the seed and the epoch."""

import random

import numpy as np
import torch
from ignite.engine import Engine
from monai.data import DataLoader, Dataset
from monai.transforms import RandGaussianNoise

from latentct.engines import SeededEpochs


def drawn(seed: int, epochs: int, begin: int = 0) -> list[list[float]]:
    """What torch, numpy, Python, a sampler and a random transform give in each epoch of an engine's run."""
    torch.manual_seed(epochs + 10 * begin)  # a process has drawn something before, and each something else
    dataset = Dataset([torch.zeros(1)] * 8, transform=RandGaussianNoise(prob=1.0))
    loader = DataLoader(dataset, batch_size=4, shuffle=True)
    random.seed(epochs)
    noted: dict[int, list[float]] = {}

    def step(engine: Engine, batch: torch.Tensor) -> None:
        from_numpy = float(np.random.rand())  # noqa: NPY002 - the global numbers are meant
        values = [*batch.flatten().tolist(), float(torch.rand(())), from_numpy, random.random()]
        noted.setdefault(engine.state.epoch, []).extend(values)

    engine = Engine(step)
    SeededEpochs(seed, dataset).attach(engine)
    engine.state.epoch = begin
    engine.state.max_epochs, engine.state.epoch_length, engine.state.iteration = epochs, 2, 2 * begin
    engine.run(loader, max_epochs=epochs)
    return [noted[epoch] for epoch in sorted(noted)]


def test_an_epoch_draws_the_same_whatever_ran_before_it() -> None:
    whole = drawn(0, epochs=3)
    assert len(whole) == 3
    assert drawn(0, epochs=3, begin=1) == whole[1:]
    assert drawn(0, epochs=4, begin=2)[0] == whole[2]


def test_epochs_and_seeds_draw_differently() -> None:
    first, second = drawn(0, epochs=2)
    assert not set(first) & set(second)
    assert not set(first) & set(drawn(1, epochs=1)[0])


def test_processes_that_train_together_draw_differently(monkeypatch) -> None:
    engine = Engine(lambda _, batch: None)
    values = []
    for rank in (0, 1):
        monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
        monkeypatch.setattr(torch.distributed, "get_rank", lambda rank=rank: rank)
        SeededEpochs(0, None)(engine)
        values.append(float(torch.rand(())))
    assert values[0] != values[1]
