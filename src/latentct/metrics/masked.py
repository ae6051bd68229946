"""The mean over a region, on which every metric of the package stands."""

import torch


def masked_mean(values: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Average the values inside a mask, item by item: ``(m * f).sum() / m.sum()``.

    Args:
        values: ``(B, ...)``, or ``(H, W)`` for a single image.
        mask: bool, broadcastable to ``values``; True = counted. Values outside it do not matter, NaN included.

    Returns:
        ``(B,)``, or a scalar tensor for a single image. An item whose mask is empty gives NaN: an absent region has no
        error, and zero would flatter the method.

    >>> masked_mean(torch.tensor([[1.0, 5.0]]), torch.tensor([[True, False]]))
    tensor(1.)
    """
    mask = mask.expand_as(values)
    dims = tuple(range(values.ndim)) if values.ndim == 2 else tuple(range(1, values.ndim))
    total = torch.where(mask, values, torch.zeros_like(values)).sum(dim=dims)
    return total / mask.sum(dim=dims)
