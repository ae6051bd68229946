"""Scan geometries of machines in use and of published protocols."""

from __future__ import annotations

import math

from latentct.geometry.grid import Grid
from latentct.geometry.scan import ConeBeam, FanBeam


def fan_ct(n_views: int = 1152) -> FanBeam:
    """Return the central detector row of a clinical CT scanner with a 50 cm field of view.

    The distances, the 736 channels and their pitch are those in the headers of the Siemens scans of the Low Dose CT
    Image and Projection Data collection (Moen et al., Medical Physics 2021, doi 10.1002/mp.14594): a curved detector
    at 1085.6 mm from a focal spot at 595 mm. The quarter-channel offset of the real detector is left out.

    Args:
        n_views: Views over the full turn.
    """
    return FanBeam.equally_spaced(
        n_views, 2 * math.pi, n_bins=736, bin_mm=1.2858, sod_mm=595.0, sdd_mm=1085.6, curved=True
    )


def few_view_cbct(
    n_views: int,
    arc_rad: float = math.pi,
    start_rad: float = 0.0,
    detector_shape: tuple[int, int] = (256, 256),
    panel_mm: tuple[float, float] = (614.4, 614.4),
) -> ConeBeam:
    """Return the few-view cone beam of the protocol of DIF-Net: source at 800 mm, panel at 1200 mm, a half turn.

    The defaults are its 256 x 256 pixels of 2.4 mm (Lin et al. 2023, arXiv 2303.06681). The panel then sees a
    cylinder of about 400 mm about the axis; a larger ``panel_mm`` sees more.

    Args:
        n_views: Number of views.
        arc_rad: Arc over which they are equally spaced, the end point excluded.
        start_rad: Angle of the first view.
        detector_shape: Number of pixels (V, U).
        panel_mm: Height and width of the panel from edge to edge.

    >>> few_view_cbct(4, detector_shape=(96, 96), panel_mm=(576.0, 768.0)).pixel_mm
    (6.0, 8.0)
    """
    pixel_mm = (panel_mm[0] / detector_shape[0], panel_mm[1] / detector_shape[1])
    return ConeBeam.equally_spaced(
        n_views, arc_rad, detector_shape, pixel_mm, sod_mm=800.0, sdd_mm=1200.0, start_rad=start_rad
    )


def x2ct_biplanar(detector_shape: tuple[int, int] = (320, 320)) -> ConeBeam:
    """Return the frontal and the lateral view of the protocol of X2CT-GAN: source at 541 mm, panel at 949 mm.

    The panel measures 500 mm x 500 mm, in the original 320 x 320 pixels (Ying et al. 2019, arXiv 1905.06902). It sees
    the 275 mm about the axis; the corners of `x2ct_grid` lie outside.

    Args:
        detector_shape: Number of pixels (V, U) that share the panel.
    """
    pixel_mm = (500.0 / detector_shape[0], 500.0 / detector_shape[1])
    return ConeBeam((0.0, math.pi / 2), detector_shape, pixel_mm, sod_mm=541.0, sdd_mm=949.0)


def x2ct_grid() -> Grid:
    """Return the grid of the same protocol, a cube of 320 mm with 128 voxels of 2.5 mm along each axis."""
    return Grid((128, 128, 128), (2.5, 2.5, 2.5))
