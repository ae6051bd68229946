"""Scan geometries of machines in use."""

from __future__ import annotations

import math

from latentct.geometry.scan import FanBeam


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
