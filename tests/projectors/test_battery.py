"""What every projector must do, for every backend and every scan."""

import pytest
import torch
from tests.projectors.cases import BACKENDS, CASES, PLANE_GRID, SCANS, TOLERANCE, build, random_pair, relative_error

from latentct.projectors import make_projector


def dtypes_of_cases():
    return [(b, n, torch.float32) for b, n in CASES] + [("torch", n, torch.float64) for n in SCANS]


@pytest.mark.parametrize(("backend", "name", "dtype"), dtypes_of_cases())
def test_adjoint(backend, name, dtype):
    """<A x, y> = <x, A^T y>."""
    projector = build(backend, name)
    x, y = random_pair(projector, 2, dtype)
    forward, adjoint = projector.forward(x), projector.adjoint(y)
    assert forward.dtype == adjoint.dtype == dtype
    scale = forward.double().norm() * y.double().norm()
    error = torch.sum(forward.double() * y.double()) - torch.sum(x.double() * adjoint.double())
    assert abs(error) / scale < TOLERANCE[f"adjoint {str(dtype).removeprefix('torch.')}"]


@pytest.mark.parametrize(("backend", "name"), CASES)
def test_gradient_of_a_quadratic_is_the_normal_operator(backend, name):
    """The gradient of 0.5 |A x|^2 is A^T A x, and that of 0.5 |A^T y|^2 is A A^T y."""
    projector = build(backend, name)
    x, y = (tensor.requires_grad_() for tensor in random_pair(projector, 2, torch.float32))
    (0.5 * projector(x).square().sum()).backward()
    (0.5 * projector.T(y).square().sum()).backward()
    assert relative_error(x.grad, projector.T(projector(x.detach()))) < TOLERANCE["gradient"]
    assert relative_error(y.grad, projector(projector.T(y.detach()))) < TOLERANCE["gradient"]


@pytest.mark.parametrize("name", SCANS)
def test_gradcheck(name):
    projector = build("torch", name)
    x, y = (tensor.requires_grad_() for tensor in random_pair(projector, 1, torch.float64))
    assert torch.autograd.gradcheck(projector.forward, x, fast_mode=True)
    assert torch.autograd.gradcheck(projector.adjoint, y, fast_mode=True)
    assert torch.autograd.gradgradcheck(projector.forward, x, fast_mode=True)


@pytest.mark.parametrize(("backend", "name"), CASES)
def test_a_batch_is_its_items_one_by_one(backend, name):
    projector = build(backend, name)
    x, y = random_pair(projector, 3, torch.float32)
    assert relative_error(projector(x), torch.cat([projector(item[None]) for item in x])) < TOLERANCE["backends"]
    assert relative_error(projector.T(y), torch.cat([projector.T(item[None]) for item in y])) < TOLERANCE["backends"]


@pytest.mark.parametrize("name", SCANS)
def test_backends_agree(name):
    reference, compiled = build("torch", name), build("numba", name)
    x, y = random_pair(reference, 2, torch.float64)
    assert relative_error(compiled(x), reference(x)) < TOLERANCE["backends"]
    assert relative_error(compiled.T(y), reference.T(y)) < TOLERANCE["backends"]


@pytest.mark.parametrize("n", [1, 2, 5, 17])
@pytest.mark.parametrize(("backend", "name"), CASES)
def test_rays_that_were_not_measured_are_not_read(backend, name, n):
    projector = build(backend, name)
    _, y = random_pair(projector, n, torch.float32)
    ray_mask = torch.rand(projector.scan.sinogram_shape, generator=torch.Generator().manual_seed(3)) > 0.5
    masked = projector.masked(ray_mask)
    assert torch.equal(masked.T(torch.where(ray_mask, y, torch.nan)), masked.T(torch.where(ray_mask, y, 0.0)))


@pytest.mark.parametrize(("backend", "name"), CASES)
def test_masked_projector_knows_the_measured_rays_only(backend, name):
    projector = build(backend, name)
    x, y = random_pair(projector, 2, torch.float32)
    ray_mask = torch.rand(projector.scan.sinogram_shape, generator=torch.Generator().manual_seed(1)) > 0.5
    masked = projector.masked(ray_mask)
    assert relative_error(masked(x), ray_mask * projector(x)) < TOLERANCE["backends"]
    assert relative_error(masked.T(y), projector.T(ray_mask * y)) < TOLERANCE["backends"]
    assert torch.equal(masked(x) == 0, (ray_mask * projector(x)) == 0)


@pytest.mark.parametrize(("backend", "name"), CASES)
def test_each_slice_may_have_its_own_mask(backend, name):
    projector = build(backend, name)
    x, y = random_pair(projector, 3, torch.float32)
    ray_mask = torch.rand(y.shape, generator=torch.Generator().manual_seed(1)) > 0.5
    masked = projector.masked(ray_mask)
    found = masked(x.requires_grad_())
    assert relative_error(found.detach(), ray_mask * projector(x.detach())) < TOLERANCE["backends"]
    measured = torch.where(ray_mask, y, torch.nan)
    assert relative_error(masked.T(measured), projector.T(ray_mask * y)) < TOLERANCE["backends"]
    (0.5 * found.square().sum()).backward()
    assert relative_error(x.grad, projector.T(ray_mask * projector(x.detach()))) < TOLERANCE["gradient"]
    for i in range(3):
        alone = projector.masked(ray_mask[i, 0])
        assert relative_error(alone(x.detach()[i : i + 1]), found.detach()[i : i + 1]) < TOLERANCE["backends"]


@pytest.mark.parametrize("backend", BACKENDS)
def test_slices_of_a_volume_ride_on_the_leading_axes(backend):
    projector = build(backend, "parallel")
    volume = torch.rand(2, 1, 3, *PLANE_GRID.shape)
    y = projector(volume)
    assert y.shape == (2, 1, 3, *projector.scan.sinogram_shape)
    assert torch.allclose(y[1, :, 2], projector(volume[1, :, 2][None])[0], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("backend", BACKENDS)
def test_other_dtypes_are_computed_in_float32_and_get_their_gradient_back(backend):
    projector = build(backend, "parallel")
    x = torch.rand(1, 1, *PLANE_GRID.shape, dtype=torch.bfloat16, requires_grad=True)
    y = projector(x)
    y.sum().backward()
    assert y.dtype == torch.float32
    assert x.grad is not None
    assert x.grad.dtype == torch.bfloat16


@pytest.mark.parametrize("backend", BACKENDS)
def test_wrong_shapes_are_refused(backend):
    projector = build(backend, "parallel")
    with pytest.raises(ValueError, match="ending in"):
        projector(torch.zeros(1, 1, 52, 44))
    with pytest.raises(ValueError, match="ending in"):
        projector.adjoint(torch.zeros(1, 1, *PLANE_GRID.shape))


@pytest.mark.parametrize("backend", BACKENDS)
def test_rays_beside_the_grid_are_zero(backend):
    projector = make_projector(PLANE_GRID, SCANS["parallel_offset"], backend)
    y = projector(torch.ones(1, 1, *PLANE_GRID.shape))
    center_mm, half_mm = (-6.0, 4.0), 0.5 * (44 * 2.0 + 52 * 1.7)
    for view, t in enumerate(torch.tensor(projector.scan.angles_rad)):
        u_mm = torch.from_numpy(projector.scan.u_mm()) - center_mm[0] * t.cos() - center_mm[1] * t.sin()
        assert torch.all(y[0, 0, view][u_mm.abs() > half_mm] == 0)
    assert (y == 0).any()
