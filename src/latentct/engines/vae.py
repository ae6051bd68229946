"""What training a VAE with MONAI's engines needs beyond MONAI and Ignite."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from ignite.engine import Engine, Events
from monai.engines.utils import IterationEvents, PrepareBatch
from monai.inferers import SimpleInferer
from torch import Tensor, nn

from latentct import keys
from latentct.losses import ELBOLoss
from latentct.metrics import mae_hu


class AutoencoderPrepareBatch(PrepareBatch):
    """Give the image as input and as target; of some batches in training, the input is corrupted first.

    The encoder then learns where in the latent space a corrupted reconstruction belongs, which is where the search
    starts (a denoising criterion: Im et al. 2017, arXiv 1511.06406). The target is always the clean image.

    Args:
        corruption: from clean slices (B, 1, H, W) in the network range to corrupted ones; None never corrupts.
        probability: share of the batches that are corrupted.
        key: key of the image in the batch.
    """

    def __init__(
        self, corruption: Callable[[Tensor], Tensor] | None = None, probability: float = 0.5, key: str = "image"
    ) -> None:
        self.corruption = corruption
        self.probability = probability
        self.key = key

    def __call__(
        self,
        batchdata: Mapping[str, Any],
        device: str | torch.device | None = None,
        non_blocking: bool = False,
        **kwargs: Any,
    ) -> tuple[Tensor, Tensor]:
        """Return input and target, both (B, 1, H, W) on `device`."""
        image = torch.as_tensor(batchdata[self.key]).to(device=device, non_blocking=non_blocking, **kwargs)
        if self.corruption is None or float(torch.rand(())) >= self.probability:
            return image, image
        return self.corruption(image), image


class AutocastInferer(SimpleInferer):
    """Run the network in bfloat16 where that is safe, and return float32.

    MONAI's engines know mixed precision on CUDA only; this one works on a CPU as well.

    Args:
        enabled: False runs in the network's own precision.
    """

    def __init__(self, enabled: bool = True) -> None:
        super().__init__()
        self.enabled = enabled

    def __call__(self, inputs: Tensor, network: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Return what the network returns, a tensor or a tuple of tensors, in float32."""
        with torch.autocast(inputs.device.type, torch.bfloat16, enabled=self.enabled):
            outputs = network(inputs, *args, **kwargs)
        return tuple(o.float() for o in outputs) if isinstance(outputs, tuple) else outputs.float()


class BodyError:
    """Mean absolute error in HU within the body, of an evaluator's output: an `output_transform` for Ignite's metrics.

    Args:
        hu_min: HU at network value 0.
        hu_max: HU at network value 1.
        threshold_hu: a pixel of the image above it counts as body.
    """

    def __init__(self, hu_min: float, hu_max: float, threshold_hu: float = -500.0) -> None:
        self.hu_per_x = hu_max - hu_min
        self.threshold = (threshold_hu - hu_min) / self.hu_per_x

    def __call__(self, output: Mapping[str, Tensor]) -> float:
        """Return the mean over the batch, from the entries `label` and `pred` (B, 1, H, W) in the network range."""
        image, pred = output[keys.LABEL], output[keys.PRED]
        region = image > self.threshold
        return float(mae_hu(pred * self.hu_per_x, image * self.hu_per_x, region).nanmean())


class KLWarmUp:
    """Raise the loss's `kl_weight` linearly from 0 to 1 over the first iterations.

    Args:
        loss: the loss whose weight it sets.
        iterations: length of the rise.
    """

    def __init__(self, loss: ELBOLoss, iterations: int) -> None:
        self.loss = loss
        self.iterations = iterations

    def attach(self, engine: Engine) -> None:
        """Set the weight at the start of every iteration of a trainer."""
        engine.add_event_handler(Events.ITERATION_STARTED, self)

    def __call__(self, engine: Engine) -> None:
        """Set the weight for the trainer's current iteration."""
        self.loss.kl_weight = min(1.0, engine.state.iteration / max(self.iterations, 1))


class GradientClipping:
    """Limit the norm of the gradient before the optimizer's step.

    Args:
        network: module whose parameters are clipped together.
        max_norm: largest 2-norm.
    """

    def __init__(self, network: nn.Module, max_norm: float = 1.0) -> None:
        self.network = network
        self.max_norm = max_norm

    def attach(self, engine: Engine) -> None:
        """Clip after the backward pass of a MONAI trainer."""
        engine.add_event_handler(IterationEvents.BACKWARD_COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        """Scale all gradients down together if their norm exceeds the limit."""
        nn.utils.clip_grad_norm_(self.network.parameters(), self.max_norm)


def warmup_cosine(iteration: int, total: int, warmup: int, floor: float = 0.02) -> float:
    """Return the factor of the learning rate: a linear rise, then half a cosine down to `floor`."""
    if iteration < warmup:
        return (iteration + 1) / warmup
    progress = min(1.0, (iteration - warmup) / max(total - warmup, 1))
    return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * progress))
