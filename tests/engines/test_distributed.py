"""Two processes on one CPU train as one with both batches."""

import os
import socket

import pytest
import torch
import torch.multiprocessing as mp
from torch import nn

from latentct.engines import join_processes
from latentct.engines.distributed import synchronise

X = torch.arange(8.0).reshape(4, 2)


def train(network: nn.Module, x: torch.Tensor, steps: int = 3) -> None:
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01)
    for _ in range(steps):
        optimizer.zero_grad()
        network(x).square().mean().backward()
        optimizer.step()


def network(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3, affine=False).eval(), nn.Linear(3, 1))


def process(rank: int, port: int, path: str) -> None:
    os.environ.update(RANK=str(rank), WORLD_SIZE="2", MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port), LOCAL_RANK="0")
    assert join_processes() == join_processes() == torch.device("cpu")
    own = network(seed=rank)
    own[1].running_mean.fill_(rank + 1.0)
    synchronise([own])
    train(own, X[2 * rank : 2 * rank + 2])
    torch.save(own.state_dict(), f"{path}/{rank}.pt")


@pytest.mark.slow
def test_weights_follow_the_mean_gradient(tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    mp.spawn(process, (port, str(tmp_path)), nprocs=2)
    alone = network(seed=0)
    alone[1].running_mean.fill_(1.0)
    train(alone, X)
    for rank in range(2):
        state = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        for name, value in alone.state_dict().items():
            assert torch.allclose(state[name], value, atol=1e-6), (rank, name)
