"""From a scan of a user to its corrected image: what the commands do, to be called from Python too."""
