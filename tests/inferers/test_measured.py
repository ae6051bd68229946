"""What of a scan is searched, and how its rays are weighted."""

import pytest
import torch

from latentct.errors import InputError
from latentct.geometry import truncation_ray_mask
from latentct.inferers.measured import measured_part, misfit_weights
from latentct.projectors import make_projector

from .cases import DIAMETER_MM, GRID, SCANS

PARALLEL = SCANS["parallel"]


@pytest.mark.parametrize("name", SCANS)
def test_search_uses_some_views_and_the_measured_columns(name):
    scan = SCANS[name]
    ray_mask = torch.from_numpy(truncation_ray_mask(scan, DIAMETER_MM))
    part = measured_part(scan, ray_mask, search_views=10)
    assert part.scan.n_views == 10
    assert part.scan.angles_rad == scan.angles_rad[::4]
    assert part.views.tolist() == list(range(0, 40, 4))
    assert part.scan.u_mm() == pytest.approx(scan.u_mm()[part.columns])
    assert bool(ray_mask[:, part.columns].all())
    assert not ray_mask[:, : part.columns.start].any()
    assert not ray_mask[:, part.columns.stop :].any()
    x = torch.rand(1, 1, *GRID.shape)
    whole, seen = (make_projector(GRID, s)(x) for s in (scan, part.scan))
    assert torch.allclose(part.of(whole), seen, atol=1e-3)


def test_masks_of_each_slice_are_searched_where_any_has_rays():
    masks = torch.zeros(2, 1, *PARALLEL.sinogram_shape, dtype=torch.bool)
    masks[0, :, 3:9, 10:20] = True
    masks[1, :, 20:30, 15:40] = True
    part = measured_part(PARALLEL, masks, search_views=40)
    assert part.views.tolist() == [*range(3, 9), *range(20, 30)]
    assert part.columns == slice(10, 40)
    assert int(part.of(masks).sum()) == int(masks.sum())


@pytest.mark.parametrize("by_slice", [False, True])
def test_no_measured_ray_is_refused(by_slice):
    ray_mask = torch.zeros(PARALLEL.sinogram_shape, dtype=torch.bool)
    found = "none of the 2400 rays of the scan was measured"
    if by_slice:
        ray_mask = torch.stack([~ray_mask, ray_mask])[:, None]
        found = "none of the 2400 rays of slice 1 was measured"
    with pytest.raises(InputError, match=found):
        measured_part(PARALLEL, ray_mask, 10)


def test_weights_follow_the_counts_and_are_one_in_the_mean():
    q = torch.tensor([[0.0, 1.0, 2.0, 50.0], [3.0, 4.0, 5.0, 0.0]]).reshape(2, 1, 1, 4)
    ray_mask = torch.tensor([[True, True, True, False], [True, False, True, False]]).reshape(2, 1, 1, 4)
    plain, pwls = (misfit_weights(q, ray_mask, w) for w in ("none", "pwls"))
    assert torch.equal(plain, ray_mask.float())
    assert pwls.sum(dim=(1, 2, 3)).tolist() == pytest.approx([3.0, 2.0])
    assert bool((pwls[~ray_mask] == 0).all())
    assert float(pwls[0, 0, 0, 0] / pwls[0, 0, 0, 2]) == pytest.approx(torch.e**2, rel=1e-5)
    assert float(pwls[1, 0, 0, 0] / pwls[1, 0, 0, 2]) == pytest.approx(torch.e**2, rel=1e-5)
