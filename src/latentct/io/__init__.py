"""Files: NIfTI volumes and manifests of data sets."""
