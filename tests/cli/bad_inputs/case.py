"""What a hostile input is, and the damage done to bytes."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

Make = Callable[[Path, random.Random], Path]


@dataclass(frozen=True)
class Case:
    """One input that a command must survive.

    Attributes:
        name: Tells it from the others, and is the seed of its damage.
        make: Fills a folder, which is empty and exists, and returns what the user gives as INPUT.
        refused: Whether a command that reads it whole must refuse it; None where either may happen.
    """

    name: str
    make: Make
    refused: bool | None = None


def truncated(data: bytes, chance: random.Random) -> bytes:
    return data[: chance.randrange(len(data))]


def scattered(data: bytes, chance: random.Random, stop: int | None = None) -> bytes:
    """Random bytes at random places before `stop`."""
    spoilt = bytearray(data)
    for _ in range(chance.choice([1, 1, 3, 10, 50])):
        spoilt[chance.randrange(min(stop or len(data), len(data)))] = chance.choice(
            [0, 1, 127, 128, 255, chance.randrange(256)]
        )
    return bytes(spoilt)


def swapped(data: bytes, chance: random.Random) -> bytes:
    """A part that stands where another one belongs."""
    length = chance.randrange(1, max(2, len(data) // 4))
    source, target = chance.randrange(len(data) - length + 1), chance.randrange(len(data) - length + 1)
    return data[:target] + data[source : source + length] + data[target + length :]


def one_file(name: str, data: bytes) -> Make:
    """The maker of a single file."""

    def make(folder: Path, chance: random.Random) -> Path:
        path = folder / name
        path.write_bytes(data)
        return path

    return make


def damaged(name: str, whole: Callable[[], bytes], damages: Sequence[Callable[[bytes, random.Random], bytes]]) -> Make:
    """The maker of a file that is damaged in one of several ways."""

    def make(folder: Path, chance: random.Random) -> Path:
        path = folder / name
        path.write_bytes(chance.choice(damages)(whole(), chance))
        return path

    return make
