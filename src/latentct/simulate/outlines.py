"""Outlines of implants in their natural size, as signed distances: negative inside.

Each drawing function takes its measures in mm from a generator, within the ranges of what surgeons and dentists use.
An outline is a function of points (y, x) in mm; outlines are joined by the minimum and cut by the maximum.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce

import numpy as np
import numpy.typing as npt
import torch

FloatArray = npt.NDArray[np.float64]
Distance = Callable[[FloatArray, FloatArray], FloatArray]
Point = tuple[float, float]


@dataclass(frozen=True)
class Outline:
    """A shape about the origin.

    Attributes:
        distance_mm: signed distance, or a function of its sign, of points (y, x) in mm; negative inside.
        radius_mm: radius of a disk about the origin that holds the shape.
    """

    distance_mm: Distance
    radius_mm: float


@dataclass(frozen=True)
class Kind:
    """A kind of implant: how its outline is drawn, and the areas in a slice that it comes in."""

    draw: Callable[[torch.Generator], Outline]
    smallest_mm2: float
    largest_mm2: float


def hip_stem(generator: torch.Generator) -> Outline:
    """Stem cut obliquely: a tapered bar of 15 to 45 mm, in half of the cases with the neck and the ball of 28 mm."""
    length, thick, thin = _uniform(generator, (15, 45), (7, 9), (3.5, 6))
    bar = tapered_bar((0, -length / 2), (0, length / 2), thick, thin)
    with_ball, tilt, neck = _uniform(generator, (0, 1), (0.6, 1.0), (24, 34))
    if with_ball < 0.5:
        return Outline(bar, length / 2 + thick)
    ball = (neck * math.sin(tilt), -length / 2 - neck * math.cos(tilt))
    return Outline(_union(bar, tapered_bar((0, -length / 2), ball, 6.5, 5.5), disk(ball, 14.0)), length / 2 + neck + 15)


def hip_cup(generator: torch.Generator) -> Outline:
    """Cup of the hip: an open shell of 46 to 58 mm and 3 to 5 mm thickness, a metal ball of 22 to 32 mm in it."""
    radius, half_opening, wall, ball = _uniform(generator, (23, 29), (1.0, 1.6), (1.5, 2.5), (11, 16))
    return Outline(_union(arc(radius, half_opening, wall), disk((0, 0), ball)), radius + wall)


def screw(generator: torch.Generator) -> Outline:
    """Screw along its axis: shaft of 12 to 40 mm with thread, a head at one end and a point at the other."""
    length, radius, pitch, head = _uniform(generator, (12, 40), (1.4, 2.4), (1.5, 2.5), (1.6, 2.2))
    shaft = tapered_bar((0, -length / 2), (0, length / 2), radius, 0.5 * radius)
    cap = tapered_bar((-head, -length / 2), (head, -length / 2), 1.2 * radius, 1.2 * radius)

    def threaded(y: FloatArray, x: FloatArray) -> FloatArray:
        return shaft(y, x) + 0.12 * radius * np.sin(2 * math.pi * x / pitch)

    return Outline(_union(threaded, cap), length / 2 + 2 * head + 2 * radius)


def dental_filling(generator: torch.Generator) -> Outline:
    """Fillings or crowns: one to three irregular blobs of 4 to 9 mm, about 8 mm apart along the row of teeth."""
    count = 1 + int(torch.randint(3, (1,), generator=generator))
    blobs = []
    for tooth in range(count):
        radius, shift, second, third, turn = _uniform(
            generator, (2.0, 4.5), (-1, 1), (0.05, 0.25), (0.0, 0.15), (0, 2 * math.pi)
        )
        blobs.append(blob((shift, 8.0 * (tooth - (count - 1) / 2)), radius, second, third, turn))
    return Outline(_union(*blobs), 4.0 * (count - 1) + 8.0)


def clip(generator: torch.Generator) -> Outline:
    """Surgical clip: two legs of 5 to 11 mm that meet at an end, of wire 1.2 to 1.8 mm thick."""
    length, gap, wire = _uniform(generator, (5, 11), (0.8, 2.4), (0.6, 0.9))
    legs = [tapered_bar((0, -length / 2), (side * gap, length / 2), wire, wire) for side in (-1, 1)]
    return Outline(_union(*legs), length / 2 + gap + 2 * wire)


def plate(generator: torch.Generator) -> Outline:
    """Plate seen edge on: a bent strip of 25 to 60 mm, 2 to 4 mm thick, with two to four screws into the bone."""
    length, bend, wall, depth = _uniform(generator, (25, 60), (40, 150), (1.0, 2.0), (5, 14))
    half = 0.5 * length / bend
    strip = arc(bend, half, wall)
    count = 2 + int(torch.randint(3, (1,), generator=generator))
    screws = []
    for angle in np.linspace(-0.8 * half, 0.8 * half, count):
        ray = np.array([math.sin(angle), math.cos(angle)])
        screws.append(tapered_bar(_point(bend * ray), _point((bend - depth) * ray), 1.6, 1.0))
    joined = _union(strip, *screws)
    return Outline(lambda y, x: joined(y, x + bend), length / 2 + bend * (1 - math.cos(half)) + depth + 2 * wall)


def coil(generator: torch.Generator) -> Outline:
    """Embolisation coil seen along its axis: two to four turns of wire, 0.8 to 1.2 mm thick, an equal gap apart."""
    turns, wire = _uniform(generator, (2, 4), (0.8, 1.2))
    pitch = 1.9 * wire

    def spiral(y: FloatArray, x: FloatArray) -> FloatArray:
        radius = np.hypot(y, x)
        turn = np.arctan2(y, x) / (2 * math.pi)
        off_wire = np.abs((radius / pitch - turn + 0.5) % 1.0 - 0.5) * pitch - wire / 2
        return np.maximum(off_wire, radius - turns * pitch)

    return Outline(spiral, (turns + 0.5) * pitch)


KINDS = {
    "hip_stem": Kind(hip_stem, 200.0, 2500.0),
    "hip_cup": Kind(hip_cup, 250.0, 2500.0),
    "screw": Kind(screw, 10.0, 250.0),
    "dental_filling": Kind(dental_filling, 10.0, 250.0),
    "clip": Kind(clip, 10.0, 70.0),
    "plate": Kind(plate, 100.0, 600.0),
    "coil": Kind(coil, 10.0, 200.0),
}
"""Kinds of implants by name."""


def disk(center: Point, radius: float) -> Distance:
    """Return the signed distance to a disk."""
    return lambda y, x: np.hypot(y - center[0], x - center[1]) - radius


def tapered_bar(start: Point, end: Point, radius_start: float, radius_end: float) -> Distance:
    """Return the distance to a bar with round ends whose radius changes linearly from end to end."""
    (y0, x0), (dy, dx) = start, (end[0] - start[0], end[1] - start[1])
    squared = dy * dy + dx * dx

    def distance(y: FloatArray, x: FloatArray) -> FloatArray:
        t = np.clip(((y - y0) * dy + (x - x0) * dx) / squared, 0.0, 1.0)
        return np.hypot(y - y0 - t * dy, x - x0 - t * dx) - (radius_start + t * (radius_end - radius_start))

    return distance


def arc(radius: float, half_angle_rad: float, half_wall: float) -> Distance:
    """Return the distance to a strip along a circle about the origin, symmetric about +x, with round ends."""
    tip = (radius * math.sin(half_angle_rad), radius * math.cos(half_angle_rad))

    def distance(y: FloatArray, x: FloatArray) -> FloatArray:
        on_arc = np.abs(np.hypot(y, x) - radius)
        to_tip = np.hypot(np.abs(y) - tip[0], x - tip[1])
        return np.where(np.arctan2(np.abs(y), x) <= half_angle_rad, on_arc, to_tip) - half_wall

    return distance


def blob(center: Point, radius: float, second: float, third: float, turn_rad: float) -> Distance:
    """Return a function negative inside a disk whose radius varies by two and three waves around it."""

    def distance(y: FloatArray, x: FloatArray) -> FloatArray:
        angle = np.arctan2(y - center[0], x - center[1]) + turn_rad
        rim = radius * (1 + second * np.cos(2 * angle) + third * np.cos(3 * angle + turn_rad))
        return np.hypot(y - center[0], x - center[1]) - rim

    return distance


def _union(*shapes: Distance) -> Distance:
    return lambda y, x: reduce(np.minimum, (shape(y, x) for shape in shapes))


def _point(at: FloatArray) -> Point:
    return float(at[0]), float(at[1])


def _uniform(generator: torch.Generator, *ranges: tuple[float, float]) -> list[float]:
    """Draw one number from each range."""
    draws = torch.rand(len(ranges), generator=generator, dtype=torch.float64).tolist()
    return [low + (high - low) * draw for (low, high), draw in zip(ranges, draws, strict=True)]
