"""How much each ray counts in filtered back-projection: angular steps and rays that were measured more than once."""

import numpy as np
import numpy.typing as npt

from latentct.geometry import FanBeam, ParallelBeam

FloatArray = npt.NDArray[np.float64]

_TAPER_RAD = np.deg2rad(10.0)
_LEAST_REACH_MM = 1e-9


def ray_weights(scan: ParallelBeam | FanBeam) -> FloatArray:
    """Return the weight of each ray in the angular integral, in rad.

    A line may be seen twice, from opposite sides, or more often. Its sightings share a weight of one,
    ``w = c e / sum(c e)``, where ``c`` falls smoothly to zero at the ends of the arc and ``e`` at the near edge of a
    displaced detector; the ratio is 1/2 for a full scan, 1 for parallel rays over half a turn and a smooth weight like
    Parker's for a short scan. Parker 1982, doi 10.1118/1.595078; Noo, Defrise, Clackdoyle and Kudo 2002,
    doi 10.1088/0031-9155/47/14/311, whose ratio this is; Wang 2002, doi 10.1118/1.1489043 for the displaced detector.

    Args:
        scan: Parallel or fan beam over any arc; the views may stand in any order.

    Returns:
        Weights (A, U): the share of the line times the angle that the view stands for. Over complete data the shares
        of a line sum to one.
    """
    steps_rad, position_rad = _views_on_arc(np.asarray(scan.angles_rad))
    edge, edge_opposite = _detector_tapers(scan)
    arc_rad = float(steps_rad.sum())
    n_whole = _whole_turns(arc_rad, scan.n_views)
    if n_whole:
        share: FloatArray = edge / (n_whole * (edge + edge_opposite))
        return share * steps_rad[:, None]
    fan_rad = scan.fan_angles_rad() if isinstance(scan, FanBeam) else np.zeros(scan.n_bins)
    same = position_rad[:, None]
    opposite = same + np.pi - 2 * fan_rad
    sightings = np.zeros(scan.sinogram_shape)
    n_turns = int(np.ceil(arc_rad / (2 * np.pi))) + 1
    for turn_rad in 2 * np.pi * np.arange(-n_turns, n_turns + 1):
        sightings += _arc_taper(same + turn_rad, arc_rad) * edge
        sightings += _arc_taper(opposite + turn_rad, arc_rad) * edge_opposite
    own = _arc_taper(same, arc_rad) * edge
    return own / np.where(sightings > 0, sightings, 1.0) * steps_rad[:, None]


def _views_on_arc(angles_rad: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return each view's step and its position on the arc, which begins half a step before the first view."""
    if len(angles_rad) == 1:
        return np.array([np.pi]), np.array([np.pi / 2])
    order = np.argsort(angles_rad, kind="stable")
    gaps = np.diff(angles_rad[order])
    sorted_steps = (np.append(gaps[0], gaps) + np.append(gaps, gaps[-1])) / 2
    steps = np.empty_like(angles_rad)
    steps[order] = sorted_steps
    return steps, angles_rad - angles_rad[order[0]] + gaps[0] / 2


def _whole_turns(arc_rad: float, n_views: int) -> int:
    """Return how many turns the views close to, 0 if they do not.

    Views at uneven steps close to a little more or less than a turn; counted ray by ray, some lines would then have one
    sighting too many or too few, and a jump of the weights from bin to bin becomes a streak.
    """
    turns = arc_rad / (2 * np.pi)
    return round(turns) if abs(turns - round(turns)) < 0.5 / n_views else 0


def _arc_taper(position_rad: FloatArray, arc_rad: float) -> FloatArray:
    """Return 1 on an open arc, falling to 0 at its ends; 0 elsewhere."""
    on_arc = (position_rad >= 0) & (position_rad < arc_rad)
    rise = np.clip(np.minimum(position_rad, arc_rad - position_rad) / min(_TAPER_RAD, arc_rad / 2), 0, 1)
    taper: FloatArray = np.where(on_arc, np.sin(np.pi / 2 * rise) ** 2, 0.0)
    return taper


def _detector_tapers(scan: ParallelBeam | FanBeam) -> tuple[FloatArray, FloatArray]:
    """Return how much a bin counts against the bin that sees the same line from the other side, and the reverse.

    Both are 1 for a centred detector, quarter-bin offsets included. Of a displaced one they cross over where it sees
    lines from both sides and are 1 and 0 where it does not.
    """
    u_mm = scan.u_mm()
    if abs(scan.offset_mm) <= scan.bin_mm:
        return np.ones(scan.n_bins), np.ones(scan.n_bins)
    outward_mm = u_mm if scan.offset_mm > 0 else -u_mm
    reach_mm = max(scan.bin_mm / 2 - outward_mm.min(), _LEAST_REACH_MM)
    crossing = np.pi / 4 * np.clip(outward_mm / reach_mm, -1, 1)
    return np.sin(np.pi / 4 + crossing) ** 2, np.sin(np.pi / 4 - crossing) ** 2
