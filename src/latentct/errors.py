"""Errors that are meant for the user."""


class InputError(ValueError):
    """Bad input, refused at the border of the package (CLI, config, files, served model).

    The message is one sentence that names the file or key, what was found, what was expected and what to do.
    The command line prints it alone, without a traceback, and exits with code 2. Names of files may hold anything: what
    cannot be printed, as a line break, stands in the message as its escape.
    """

    def __init__(self, message: str) -> None:
        super().__init__(
            "".join(character if character.isprintable() else _escaped(character) for character in message)
        )


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def root_cause(error: BaseException) -> BaseException:
    """Follow `raise ... from ...` to the first `InputError`, or else to the exception that started the chain."""
    while not isinstance(error, InputError) and error.__cause__ is not None:
        error = error.__cause__
    return error
