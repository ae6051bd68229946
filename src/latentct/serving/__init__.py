"""A scan in, the corrected image and what was synthesised out: what a served model does, without the server."""
