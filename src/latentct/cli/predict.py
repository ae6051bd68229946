"""`latentct predict`: have a served model correct a scan."""

import base64
import json
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from latentct.errors import InputError

if TYPE_CHECKING:
    from urllib.error import HTTPError

SUFFIXES = {".npz": "npz", ".nii.gz": "nifti"}


def predict(
    source: Annotated[Path, typer.Argument(metavar="INPUT", help="Folder or NPZ file of projections, or NIfTI.")],
    output: Annotated[Path, typer.Argument(help="File to write: .npz with all arrays, or .nii.gz with the image.")],
    url: Annotated[str, typer.Option(help="Where `mlflow models serve` listens, e.g. http://127.0.0.1:5000.")],
    ray_mask: Annotated[
        Path | None,
        typer.Option(help="NPY file of booleans (views, bins), true = measured; default: the model's task."),
    ] = None,
    timeout: Annotated[float, typer.Option(help="Seconds to wait.")] = 600.0,
) -> None:
    """Correct a scan with a served model."""
    form = _form(output)
    request = _scan(source) | {"answer": form}
    if ray_mask is not None:
        request["ray_mask"] = _mask(ray_mask)
    content, words = _post(url, request, timeout)
    from latentct.io.files import whole_file

    with whole_file(output) as partial:
        partial.write_bytes(content)
    typer.echo(f"{output}: {words}")


def _form(output: Path) -> str:
    """Return what the server is to answer for a file."""
    form = next((form for suffix, form in SUFFIXES.items() if output.name.endswith(suffix)), None)
    if form is None:
        raise InputError(f"output {output} ends in none of {', '.join(SUFFIXES)}; choose one of them.")
    if output.exists():
        raise InputError(f"output {output} exists already; choose another name, or remove it.")
    return form


def _scan(source: Path) -> dict[str, Any]:
    """Return a file as it is, a folder of projections as an NPZ file."""
    from latentct.io.nifti import has_nifti_suffix
    from latentct.io.projections import npz_bytes, read_projections

    if source.is_dir():
        content, kind = npz_bytes(read_projections(source)), "npz"
    elif source.is_file() and (source.suffix == ".npz" or has_nifti_suffix(source)):
        content, kind = source.read_bytes(), "npz" if source.suffix == ".npz" else "nifti"
    else:
        raise InputError(f"input {source} is no folder, .npz, .nii or .nii.gz file; give projections or an image.")
    return {"scan_base64": base64.b64encode(content).decode("ascii"), "format": kind}


def _mask(path: Path) -> list[list[bool]]:
    import numpy as np

    try:
        mask = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(
            f"ray mask {path} cannot be read as an NPY file ({type(error).__name__}); write it anew."
        ) from error
    if not isinstance(mask, np.ndarray) or mask.dtype != bool or mask.ndim != 2:
        raise InputError(f"ray mask {path} is no array of booleans (views, bins); save one with numpy.save.")
    return mask.tolist()


def _post(url: str, request: dict[str, Any], timeout: float) -> tuple[bytes, str]:
    """Send a request; return the file that is answered and words for people. A server that fails ends the command.

    Raises:
        InputError: The server refuses the request, or there is none.
    """
    from http.client import HTTPException  # not at the top: the help of every command does without
    from urllib.error import HTTPError, URLError
    from urllib.parse import urlsplit
    from urllib.request import Request, urlopen

    if urlsplit(url).scheme not in ("http", "https"):
        raise InputError(f"url {url} is no http or https address; give one such as http://127.0.0.1:5000.")
    address = f"{url.removesuffix('/').removesuffix('/invocations')}/invocations"
    body = json.dumps({"inputs": [request]}).encode()
    try:
        with urlopen(Request(address, body, {"Content-Type": "application/json"}), timeout=timeout) as response:
            answer = json.load(response)["predictions"][0]
        model = answer["model"]
        words = f"{answer['summary']} Model: {model['name']} {model['version']}."
        return base64.b64decode(answer[request["answer"]], validate=True), words
    except HTTPError as error:
        sentence = _sentence(error)
        if error.code < 500:
            raise InputError(sentence) from error
        typer.echo(f"latentct: {address} failed ({error.code}): {sentence}", err=True)
        sys.exit(1)
    except (URLError, TimeoutError, ConnectionError, HTTPException) as error:
        reason = getattr(error, "reason", error)
        raise InputError(
            f"{address} does not answer ({reason}); start `mlflow models serve` or correct --url."
        ) from error
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise InputError(f"{address} is no served latentct model; correct --url.") from error


def _sentence(error: "HTTPError") -> str:
    """Return what a server says of a failure, in one line."""
    text = error.read().decode("utf-8", errors="replace")
    with suppress(ValueError, KeyError, TypeError):
        text = str(json.loads(text)["message"])
    return " ".join(text.split())[:500] or "no reason given"
