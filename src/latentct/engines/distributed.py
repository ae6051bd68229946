"""Training on several processes without a wrapper around the network, which MONAI's handlers would have to undo."""

from __future__ import annotations

import atexit
import logging
import os

import torch
import torch.distributed as dist
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


def synchronise(*modules: nn.Module) -> None:
    """Give all processes the first one's weights and buffers, and average gradients over them from now on.

    Every process must use the same parameters in the same order in each iteration, and as many iterations an epoch.

    Args:
        *modules: what is trained: networks, and losses with weights of their own.
    """
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
