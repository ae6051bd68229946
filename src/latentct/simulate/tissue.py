"""What tissue is made of, told from its attenuation."""

from __future__ import annotations

import torch

from latentct.units import hu_to_mu


def split_tissue(
    x_mu: torch.Tensor, mu_water: float, soft_hu: float = 100.0, bone_hu: float = 1500.0
) -> tuple[torch.Tensor, torch.Tensor]:
    """Split the attenuation of tissue into a part that behaves as water and one that behaves as bone.

    Up to ``soft_hu`` tissue is water of some density, from ``bone_hu`` on bone; between them the share of bone grows
    linearly with HU, so that both parts are continuous. The thresholds are those of the usual
    simulation of metal artefacts in DeepLesion slices, after Zhang and Yu 2018, doi 10.1109/TMI.2018.2823083.

    Args:
        x_mu: Attenuation of tissue in 1/mm at the energy at which water has ``mu_water``, of any shape.
        mu_water: Attenuation of water in 1/mm.
        soft_hu: Where bone begins, in HU.
        bone_hu: Where water ends, in HU; above ``soft_hu``.

    Returns:
        The part due to water and the part due to bone, in 1/mm; they sum to ``x_mu``. Differentiable.

    >>> water, bone = split_tissue(torch.tensor([0.02, 0.036]), mu_water=0.02)
    >>> [round(value, 4) for value in bone.tolist()]
    [0.0, 0.018]
    """
    soft_mu, bone_mu = hu_to_mu(soft_hu, mu_water), hu_to_mu(bone_hu, mu_water)
    bone = x_mu * ((x_mu - soft_mu) / (bone_mu - soft_mu)).clamp(0.0, 1.0)
    return x_mu - bone, bone
