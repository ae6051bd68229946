"""Parsers of files that nobody vouches for: they keep to themselves what they think, and fail in one sentence."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from latentct.errors import InputError


@contextmanager
def quiet(*loggers: str) -> Iterator[None]:
    """Keep a parser from warning and logging, which repeats values that may name a patient.

    Args:
        loggers: Names of its loggers.
    """
    theirs = [logging.getLogger(name) for name in loggers]
    were_disabled = [logger.disabled for logger in theirs]
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        for logger in theirs:
            logger.disabled = True
        try:
            yield
        finally:
            for logger, was_disabled in zip(theirs, were_disabled, strict=True):
                logger.disabled = was_disabled


@contextmanager
def refusing(what: str, remedy: str, *loggers: str) -> Iterator[None]:
    """Turn whatever a damaged file does to a parser into one sentence.

    Args:
        what: Beginning of the sentence: the file, and what it cannot be read as.
        remedy: End of the sentence.
        loggers: Names of the parser's loggers.

    Raises:
        InputError: Anything went wrong in the block.
    """
    try:
        with quiet(*loggers):
            yield
    except InputError:
        raise
    except Exception as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(f"{what} ({reason}); {remedy}.") from error
