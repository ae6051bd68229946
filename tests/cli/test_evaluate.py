import json
import subprocess
import sys

import numpy as np
import pytest

from latentct.io.nifti import write_volume

from ..workflow.images import body_image


@pytest.fixture
def images(tmp_path):
    """A result that is 20 HU too high, and its reference."""
    image = body_image()
    write_volume(tmp_path / "in" / "jane_doe.nii.gz", np.rint(image.x_hu) + 20, image.affine_lps_mm)
    write_volume(tmp_path / "in" / "reference.nii.gz", np.rint(image.x_hu), image.affine_lps_mm)
    return tmp_path / "in" / "jane_doe.nii.gz", tmp_path / "in" / "reference.nii.gz"


def test_the_table_tells_figures_range_and_whose_slices_they_are(images, latentct):
    code, printed, err = latentct("evaluate", *images, "--range", -500, 500, "--field-mm", 120)
    assert (code, err) == (0, "")
    rows = [line.split() for line in printed.splitlines()]
    assert ["body", "MAE", "[HU]", "20.0", "0.0", "20.0", "to", "20.0", "5"] in rows
    assert ["bias", "[HU]", "20.0", "0.0", "20.0", "to", "20.0", "5"] in rows
    assert "body outside field" in printed and "PSNR [dB]" in printed
    assert "in the range [-500, 500] HU" in printed and "of one patient" in printed
    assert "Largest difference, body: 20 HU." in printed


def test_the_json_file_has_the_figures_and_no_name(tmp_path, images, latentct):
    file = tmp_path / "scores.json"
    assert latentct("evaluate", *images, "--json", file)[0] == 0
    found = json.loads(file.read_text())
    assert found["regions"]["body"]["bias_hu"]["mean"] == 20 and len(found["slices"]["body"]["mae_hu"]) == 5
    assert "jane" not in file.read_text() and "reference.nii" not in file.read_text()
    code, _, err = latentct("evaluate", *images, "--json", file)
    assert code == 2 and "exists already" in err
    assert latentct("evaluate", *images, "--json", file, "--overwrite")[0] == 0


def test_bad_requests_are_one_sentence(tmp_path, images, latentct):
    result, reference = images
    other = tmp_path / "other.nii.gz"
    write_volume(other, body_image().x_hu[1:], body_image().affine_lps_mm)
    for arguments, words in (
        ((other, reference), "4 x 64 x 72 voxels and REFERENCE 5 x 64 x 72"),
        ((result, reference, "--range", 5, 5), "the lower first"),
        ((result, reference, "--region", "field"), "needs --field-mm"),
        ((result, tmp_path / "none.nii.gz"), "does not exist"),
        ((result, reference, "--json", result, "--overwrite"), "must stay as it is"),
    ):
        code, printed, err = latentct("evaluate", *arguments)
        assert (code, printed, err.count("\n")) == (2, "", 1), err
        assert words in err


def test_help_of_the_three_commands_loads_nothing_heavy():
    code = (
        "import sys\nfrom latentct.cli.main import app\n"
        "for name in ('simulate', 'reconstruct', 'evaluate'):\n"
        "    try:\n        app([name, '--help'])\n    except SystemExit as stop:\n        assert not stop.code\n"
        "print(' '.join({name.partition('.')[0] for name in sys.modules}), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(done.stderr.split()).isdisjoint(
        {"torch", "monai", "numpy", "numba", "mlflow", "nibabel", "rich", "pydicom"}
    )
    assert all(option in done.stdout for option in ("--field-mm", "--filter", "--range"))
