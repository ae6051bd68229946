import shutil

import pytest

import latentct
from latentct.bundle.installed import installed_bundle
from latentct.errors import InputError

from ..checks import ROOT


def test_a_checkout_has_the_bundles_beside_the_package():
    assert installed_bundle("lsr_metal") == ROOT / "bundles" / "lsr_metal"


def test_an_installed_package_has_them_within(tmp_path, monkeypatch):
    package = tmp_path / "site-packages" / "latentct"
    shutil.copytree(ROOT / "bundles" / "lsr_metal" / "configs", package / "bundles" / "lsr_metal" / "configs")
    monkeypatch.setattr(latentct, "__file__", str(package / "__init__.py"))
    assert installed_bundle("lsr_metal") == package / "bundles" / "lsr_metal"
    with pytest.raises(InputError, match="lsr_truncation is not installed"):
        installed_bundle("lsr_truncation")
