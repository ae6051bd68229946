"""What training a latent diffusion with MONAI's engines needs: pairs made once, noise mixed in, samples to look at."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from monai.data import MetaTensor
from monai.engines.utils import PrepareBatch
from monai.inferers import Inferer
from torch import Tensor, nn
from torch.utils.data import Dataset
from tqdm import tqdm

from latentct import keys
from latentct.engines.fingerprint import fingerprint
from latentct.engines.weights import load_state, save_whole
from latentct.geometry import Scan
from latentct.networks.diffusion import noised, velocity
from latentct.networks.few_view import FewViewModel

Latents = tuple[Tensor, Tensor, Tensor]  # noised latents, their times, the velocity


class LatentPairs(Dataset[dict[str, Tensor]]):
    """Latents of volumes with conditions of random views of them, computed once, as the networks give them.

    Both networks are frozen in this stage, and they are what costs: an epoch over pairs costs the denoiser alone. The
    more passes, the more augmentations and scans the denoiser sees. A file keeps the pairs for a training that is
    resumed; it is made anew when the weights that made it have changed.

    Args:
        model: gives latents and conditions, computed in bfloat16 where that is safe.
        batches: batches of volumes, e.g. a data loader; iterated once in each pass.
        prepare_batch: from such a batch to `(y, image, (), {"scan": scan})`, e.g. `FewViewPrepareBatch`.
        passes: times that the batches are gone through.
        standardise: set the model's means and scales from these pairs.
        path: file that keeps the pairs, in half precision; None keeps none.
    """

    def __init__(
        self,
        model: FewViewModel,
        batches: Iterable[Mapping[str, Any]],
        prepare_batch: PrepareBatch,
        passes: int = 1,
        standardise: bool = False,
        path: str | Path | None = None,
    ) -> None:
        made_by = _fingerprint(model, passes)
        kept = load_state(path, "") if path is not None and Path(path).is_file() else {}
        if "made_by" not in kept or kept["made_by"].tolist() != made_by.tolist():
            kept = {**_pairs(model, batches, prepare_batch, passes), "made_by": made_by}
            if path is not None:
                save_whole(kept, Path(path))
        self.z, self.cond = kept["z"], kept["cond"]
        if standardise:
            model.standardise(self.z, self.cond)

    def __len__(self) -> int:
        return len(self.z)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """Return `z` (C, d, h, w) and `cond` (C', d, h, w) in float32, neither standardised."""
        return {"z": self.z[index].float(), "cond": self.cond[index].float()}


class Noising:
    """Draw a time and noise for latents: the problem that the denoiser learns to solve.

    Args:
        draws: problems made of each latent.
        seed: None draws from torch's global chance; with a seed every call gives the same noise, at `draws` times that
            are spread evenly over [0, 1], which makes the losses of different epochs comparable.
    """

    def __init__(self, draws: int = 1, seed: int | None = None) -> None:
        self.draws = draws
        self.seed = seed

    def __call__(self, z_0: Tensor) -> Latents:
        """Return z_t (B * draws, C, d, h, w), t (B * draws,) and v, those of one latent (B, C, d, h, w) in a row."""
        z_0 = z_0.repeat_interleave(self.draws, dim=0)
        if self.seed is None:
            t, eps = torch.rand(len(z_0), device=z_0.device), torch.randn_like(z_0)
        else:
            generator = torch.Generator().manual_seed(self.seed)
            eps = torch.randn(z_0.shape, generator=generator).to(z_0)
            t = ((torch.arange(len(z_0), device=z_0.device) % self.draws) + 0.5) / self.draws
        return noised(z_0, eps, t), t, velocity(z_0, eps, t)


class LatentPrepareBatch(PrepareBatch):
    """Give the denoiser noised latents with their conditions as input and the velocity as target.

    Args:
        model: has the means and scales of latents and conditions.
        noising: makes the problems.
    """

    def __init__(self, model: FewViewModel, noising: Noising) -> None:
        self.model = model
        self.noising = noising

    def __call__(
        self,
        batchdata: Mapping[str, Any],
        device: str | torch.device | None = None,
        non_blocking: bool = False,
        **kwargs: Any,
    ) -> tuple[Tensor, Tensor, tuple[Tensor, Tensor], dict[str, Any]]:
        """Return ``z_t, v, (t, cond), {}`` of a batch of `LatentPairs`, on `device`."""
        z, cond = (batchdata[key].to(device=device, non_blocking=non_blocking, **kwargs) for key in ("z", "cond"))
        z_t, t, v = self.noising(self.model.standard_latents(z))
        return z_t, v, (t, self.model.standard_conditions(cond)), {}


class JointPrepareBatch(PrepareBatch):
    """The same for a conditioner that learns with the denoiser: the views themselves take the condition's place.

    Args:
        model: encodes the volumes.
        views: from a batch of volumes to `(y, image, (), {"scan": scan})`, e.g. `FewViewPrepareBatch`.
        noising: makes the problems; several of each latent let a condition, which costs most, serve several times.
    """

    def __init__(self, model: FewViewModel, views: PrepareBatch, noising: Noising) -> None:
        self.model = model
        self.views = views
        self.noising = noising

    def __call__(
        self,
        batchdata: Mapping[str, Any],
        device: str | torch.device | None = None,
        non_blocking: bool = False,
        **kwargs: Any,
    ) -> tuple[Tensor, Tensor, tuple[Tensor], dict[str, Any]]:
        """Return ``z_t, v, (t,), {"y": y, "scan": scan}`` of a batch of volumes, on `device`."""
        y, image, _, scanned = self.views(batchdata, device, non_blocking, **kwargs)
        with torch.no_grad(), torch.autocast(image.device.type, torch.bfloat16):
            z_0 = self.model.encode(image)
        z_t, t, v = self.noising(z_0.float())
        return z_t, v, (t,), {"y": y, **scanned}


class SamplingInferer(Inferer):
    """Sample a volume for each item of a batch of views, always from the same noise.

    Args:
        steps: steps of DDIM.
        seed: of the noise.
    """

    def __init__(self, steps: int = 10, seed: int = 0) -> None:
        super().__init__()
        self.steps = steps
        self.seed = seed

    def __call__(self, inputs: Tensor, network: FewViewModel, *, scan: Scan) -> Tensor:
        """Return volumes (B, 1, D, H, W) in the network range of line integrals (B, 1, A, V, U)."""
        with torch.no_grad(), torch.autocast(inputs.device.type, torch.bfloat16):
            cond = network.condition(inputs, scan).float()
            generator = torch.Generator().manual_seed(self.seed)
            shape = (len(cond), network.latent_mean.shape[1], *cond.shape[2:])
            eps = torch.randn(shape, generator=generator).to(cond)
            return network.decode(network.sample(cond, eps, self.steps)).float()


def standardise_latents(model: FewViewModel, batches: Iterable[Mapping[str, Any]], key: str = keys.IMAGE) -> None:
    """Set the means and scales of a model's latents from batches of volumes, and leave those of the conditions."""
    encoded = []
    for batch in batches:
        image = torch.as_tensor(batch[key]).to(model.latent_mean.device)
        with torch.no_grad(), torch.autocast(image.device.type, torch.bfloat16):
            encoded.append(model.autoencoder.encode(image)[0].float())
    model.standardise(torch.cat(encoded))


def freeze(network: nn.Module) -> nn.Module:
    """Take a network out of training, and return it."""
    return network.requires_grad_(False).eval()


def trainable(network: nn.Module) -> list[nn.Parameter]:
    """Return the parameters of a network that are not frozen."""
    return [weight for weight in network.parameters() if weight.requires_grad]


def stacked(dataset: Iterable[Mapping[str, Any]], device: str | torch.device = "cpu", key: str = keys.IMAGE) -> Tensor:
    """Return all volumes of a data set as one plain tensor (N, 1, D, H, W), e.g. to start a network from."""
    volumes = [torch.as_tensor(item[key]) for item in dataset]
    return torch.stack([v.as_tensor() if isinstance(v, MetaTensor) else v for v in volumes]).to(device)


def _pairs(
    model: FewViewModel, batches: Iterable[Mapping[str, Any]], prepare_batch: PrepareBatch, passes: int
) -> dict[str, Tensor]:
    z, cond = [], []
    for _ in range(passes):
        for batch in tqdm(batches, desc="latents and conditions", leave=False):
            y, image, _, scanned = prepare_batch(batch, model.latent_mean.device)
            with torch.no_grad(), torch.autocast(image.device.type, torch.bfloat16):
                z.append(model.autoencoder.encode(image)[0].half().cpu())
                cond.append(model.conditioner.condition(y, scanned["scan"]).half().cpu())
    return {"z": torch.cat(z), "cond": torch.cat(cond)}


def _fingerprint(model: FewViewModel, passes: int) -> Tensor:
    """Return the fingerprint of what makes the pairs as numbers, because files of weights hold tensors only."""
    digits = fingerprint(model.autoencoder, model.conditioner, passes)
    return torch.tensor([int(digits[:8], 16), int(digits[8:], 16)])
