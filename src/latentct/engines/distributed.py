"""Training on several processes without a wrapper around the network, which MONAI's handlers would have to undo."""

from __future__ import annotations

import atexit
import logging
import os
from collections.abc import Iterable, Sequence

import torch
import torch.distributed as dist
from ignite.engine import Engine, Events
from monai.utils import set_determinism
from torch import Tensor, nn


def join_processes() -> torch.device:
    """Enter the group of processes that torchrun started, and return the device of this one.

    NCCL is used where there is CUDA, and gloo elsewhere. The group lives until the process ends. All but the first
    process log warnings only.
    """
    on_cuda = torch.cuda.is_available()
    if not dist.is_initialized():
        dist.init_process_group(backend="nccl" if on_cuda else "gloo")
        atexit.register(dist.destroy_process_group)
    if dist.get_rank() > 0:
        logging.getLogger().setLevel(logging.WARNING)
    if not on_cuda:
        return torch.device("cpu")
    device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
    torch.cuda.set_device(device)
    return device


class SynchronisedTraining:
    """Train as one with the other processes: a handler of the trainer of each.

    When training starts, all get the first one's weights and buffers, and random numbers of their own; from then on
    their gradients are averaged. Every process must use the same parameters in the same order in each iteration, and
    have as many iterations an epoch.

    Args:
        modules: what is trained: the network, and a loss, which may have weights of its own.
        seed: of the random numbers; the number of the process is added.
    """

    def __init__(self, modules: Sequence[nn.Module], seed: int) -> None:
        self.modules = list(modules)
        self.seed = seed

    def attach(self, engine: Engine) -> None:
        """Follow a trainer."""
        engine.add_event_handler(Events.STARTED, self._start)

    def _start(self) -> None:
        synchronise(self.modules)
        set_determinism(seed=self.seed + dist.get_rank())


def synchronise(modules: Iterable[nn.Module]) -> None:
    """Give all processes the first one's weights and buffers, and average gradients over them from now on."""
    for module in modules:
        for tensor in [*module.parameters(), *module.buffers()]:
            dist.broadcast(tensor.data, src=0)
        for parameter in module.parameters():
            if parameter.requires_grad:
                parameter.register_post_accumulate_grad_hook(_average)


def _average(parameter: Tensor) -> None:
    if parameter.grad is not None:
        dist.all_reduce(parameter.grad)
        parameter.grad /= dist.get_world_size()
