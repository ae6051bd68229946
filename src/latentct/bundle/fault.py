"""What is wrong with a bundle, as one sentence."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    """Something that is wrong with a bundle.

    Attributes:
        bundle: name of its folder.
        file: file within it, or files that are layers on one another, joined by ` + `.
        key: entry of the file; empty if it is the file as a whole.
        sentence: what was found and what is expected.
    """

    bundle: str
    file: str
    key: str
    sentence: str

    def __str__(self) -> str:
        """`bundle: file: key: sentence`."""
        return ": ".join(part for part in (self.bundle, self.file, self.key, self.sentence) if part)
