"""Geometry files that are bombs, or describe machines that cannot be."""

import json
import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .case import Case, Make, scattered, swapped, truncated

N_EACH = 10
N_VIEWS = 24
SHAPE = (2, N_VIEWS, 40)
ANGLES_DEG = [15 * view for view in range(N_VIEWS)]
_FAN: dict[str, Any] = {
    "angles_deg": ANGLES_DEG,
    "bins": 40,
    "bin_mm": 20,
    "sod_mm": 600,
    "sdd_mm": 1000,
    "slice_mm": 5,
}
_PARALLEL = {"angles_deg": ANGLES_DEG, "bins": 40, "bin_mm": 12}
_CIRCLE = {"angles_deg": [0, 90, 180, 270], "sod_mm": 800, "sdd_mm": 1200, "pixel_mm": [20, 20]}
_VIEW = {"source_mm": [0, -800, 0], "detector_mm": [0, 400, 0], "u_mm": [20, 0, 0], "v_mm": [0, 0, 20]}


def _text(**content: Any) -> str:
    """YAML, of which JSON is a part."""
    return json.dumps({"mu_water": 0.02, **content})


FAN = _text(fan=_FAN)


def fan(**values: Any) -> str:
    return _text(fan=_FAN | values)


def parallel(**values: Any) -> str:
    return _text(parallel=_PARALLEL | values)


def circle(**values: Any) -> str:
    return _text(detector_shape=[24, 20], circle=_CIRCLE | values)


def vectors(**values: Any) -> str:
    return _text(detector_shape=[24, 20], vectors=[_VIEW | values] * 4)


def beside(text: str | bytes, shape: tuple[int, ...] = SHAPE) -> Make:
    """The maker of good numbers whose geometry beside them says something."""

    def make(folder: Path, chance: random.Random) -> Path:
        data = text.encode() if isinstance(text, str) else text
        (folder / "scan.yaml").write_bytes(data)
        np.save(folder / "scan.npy", np.ones(shape, np.float32))
        return folder / "scan.npy"

    return make


def damaged(damage: Callable[[bytes, random.Random], bytes]) -> Make:
    return lambda folder, chance: beside(damage(FAN.encode(), chance))(folder, chance)


def absurd(data: bytes, chance: random.Random) -> bytes:
    """A whole geometry in which one or two values are nonsense."""
    content = json.loads(data)
    nonsense = ["nan", None, [], {}, True, -1, 0, 1e-300, 1e300, 10**30, "1" * 400, [[1]], {"a": 1}, 2.5, "2026-01-01"]
    for _ in range(chance.choice([1, 2])):
        holder = chance.choice([content, content["fan"]]) if isinstance(content.get("fan"), Mapping) else content
        holder[chance.choice([*sorted(holder), "image", "offset_mm", "curved", "isocenter_mm", "quantity", "i0"])] = (
            chance.choice(nonsense)
        )
    return json.dumps(content).encode()


_CONE = (4, 24, 20)
_LAUGHS = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 12)
)

CASES = (
    *(
        Case(f"geometry {damage.__name__} {number}", damaged(damage))
        for damage in (truncated, scattered, swapped, absurd)
        for number in range(N_EACH)
    ),
    Case("geometry of a parallel beam", beside(parallel()), False),
    Case("geometry of a circle", beside(circle(), _CONE), False),
    Case("geometry of vectors", beside(vectors(), _CONE), False),
    Case("geometry of aliases of aliases", beside(_LAUGHS), True),
    Case("geometry of brackets", beside("[" * 100000), True),
    Case("geometry of braces", beside("{a: " * 5000), True),
    Case("geometry of indents", beside("".join(" " * level + "a:\n" for level in range(3000))), True),
    Case("geometry of merges", beside("a: &a {<<: *a}"), True),
    Case("geometry of tags", beside("!!python/object/apply:os.system ['exit 3']"), True),
    Case("geometry of a huge number", beside(FAN.replace("600", "9" * 5000)), True),
    Case("geometry of a number of base 60", beside(FAN.replace("600", "1" + ":59" * 5000)), True),
    Case("geometry of two texts", beside(f"{FAN}\n---\n{FAN}"), True),
    Case("geometry of nothing", beside(""), True),
    Case("geometry of a number", beside("7"), True),
    Case("geometry of a list", beside("[1, 2]"), True),
    Case("geometry of zeros", beside(bytes(5000)), True),
    Case("geometry in 16 bit", beside(FAN.encode("utf-16"))),
    Case("geometry in latin 1", beside(b"# \xe4\n" + FAN.encode()), True),
    Case("geometry with a mark of order", beside(b"\xef\xbb\xbf" + FAN.encode())),
    Case("geometry with keys twice", beside(FAN + "\n" + FAN), True),
    Case("geometry with keys that are no text", beside(FAN[:-1] + ", 7: 1, ? [a] : 2}"), True),
    Case("geometry of 20 MB", beside("# " + "x" * 20_000_000 + "\n" + FAN)),
    Case("geometry of a million views", beside(fan(angles_deg=[0.5] * 1_000_000)), True),
    Case("geometry of two scans", beside(_text(fan=_FAN, parallel=_PARALLEL)), True),
    Case("geometry of no scan", beside(_text()), True),
    Case("geometry of no view", beside(fan(angles_deg=[])), True),
    Case("geometry of one view", beside(fan(angles_deg=[0]), (1, 1, 40))),
    Case("geometry of views all alike", beside(fan(angles_deg=[7] * N_VIEWS)), True),
    Case("geometry of views backwards", beside(fan(angles_deg=ANGLES_DEG[::-1]))),
    Case("geometry of views of many turns", beside(fan(angles_deg=[100 * a for a in ANGLES_DEG]))),
    Case("geometry of views of a million turns", beside(fan(angles_deg=[1e6 * a for a in ANGLES_DEG])), True),
    Case("geometry angle nan", beside(FAN.replace("345", ".nan")), True),
    Case("geometry angle infinite", beside(FAN.replace("345", "-.inf")), True),
    Case("geometry angle yes", beside(FAN.replace("345", "yes")), True),
    Case("geometry angle 1e308", beside(fan(angles_deg=[1e308] * N_VIEWS)), True),
    Case("geometry bins of others", beside(fan(bins=41)), True),
    Case("geometry bins negative", beside(fan(bins=-40)), True),
    Case("geometry bins in part", beside(fan(bins=40.5)), True),
    Case("geometry bins wide", beside(fan(bin_mm=1000))),
    Case("geometry bins tiny", beside(fan(bin_mm=1e-12)), True),
    Case("geometry bins tiny parallel", beside(parallel(bin_mm=1e-12)), True),
    Case("geometry bins huge parallel", beside(parallel(bin_mm=99999)), True),
    Case("geometry bins zero", beside(fan(bin_mm=0)), True),
    Case("geometry fan of a turn", beside(fan(bin_mm=100, curved=True)), True),
    Case("geometry detector in the patient", beside(fan(sdd_mm=300)), True),
    Case("geometry source in the patient", beside(fan(sod_mm=10, sdd_mm=20))),
    Case("geometry source in the middle", beside(fan(sod_mm=1e-9, sdd_mm=1)), True),
    Case("geometry source far away", beside(fan(sod_mm=99999, sdd_mm=99999.5))),
    Case("geometry offset beside the patient", beside(fan(offset_mm=5000))),
    Case("geometry offset far away", beside(fan(offset_mm=99999))),
    Case("geometry slices tiny", beside(fan(slice_mm=1e-9)), True),
    Case("geometry slices huge", beside(fan(slice_mm=99999)), True),
    Case("geometry image of 10^10 pixels", beside(fan(image={"shape": [100000, 100000], "spacing_mm": [1, 1]}))),
    Case("geometry image of tiny pixels", beside(fan(image={"shape": [16, 16], "spacing_mm": [1e-9, 1e-9]})), True),
    Case("geometry image of huge pixels", beside(fan(image={"shape": [16, 16], "spacing_mm": [99999, 99999]})), True),
    Case("geometry image of long pixels", beside(fan(image={"shape": [16, 64], "spacing_mm": [40, 2]}))),
    Case("geometry far from the patient", beside(_text(fan=_FAN, isocenter_mm=[1e8, 1e8, 1e8]))),
    Case("geometry water infinite", beside(FAN.replace("0.02", ".inf")), True),
    Case("geometry water as air", beside(FAN.replace("0.02", "0")), True),
    Case("geometry intensities of 1e-300", beside(_text(fan=_FAN, quantity="intensities", i0=1e-300))),
    Case("geometry intensities of 1e8", beside(_text(fan=_FAN, quantity="intensities", i0=1e8))),
    Case("geometry panel of one row", beside(_text(detector_shape=[1, 20], circle=_CIRCLE), _CONE), True),
    Case("geometry pixels tiny", beside(circle(pixel_mm=[1e-12, 1e-12]), _CONE), True),
    Case("geometry vectors zero", beside(vectors(u_mm=[0, 0, 0]), _CONE), True),
    Case("geometry vectors parallel", beside(vectors(v_mm=[20, 0, 0]), _CONE), True),
    Case("geometry vectors of a source in the middle", beside(vectors(source_mm=[0, 0, 0]), _CONE), True),
    Case("geometry vectors of a source in the panel", beside(vectors(source_mm=[0, 400, 0]), _CONE), True),
    Case("geometry vectors of 1e8 mm", beside(vectors(u_mm=[1e8, 0, 0]), _CONE), True),
    Case("geometry vectors of two numbers", beside(vectors(u_mm=[1, 2]), _CONE), True),
)  # fmt: skip
