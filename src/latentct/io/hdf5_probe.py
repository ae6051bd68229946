"""Read what may end or stop a process: run by `latentct.io.hdf5` in a process of its own, with the path of a file.

HDF5 dies of some damaged files, and others it reads for ever, mostly where it keeps texts. Whatever raises an error
here raises it again, as a sentence, where the file is read in earnest.
"""

import sys
from contextlib import suppress

import h5py  # type: ignore[import-untyped]

with suppress(Exception), h5py.File(sys.argv[1], "r") as file:
    for name in ("projections", "geometry"):
        if isinstance(file.get(name, getlink=True), h5py.HardLink) and not file[name].external:
            dict(file[name].attrs)
            file[name][:1] if file[name].shape else file[name][()]
    dict(file.attrs)
