"""Bundles as folders: their configs, their faults, clean copies. Knows neither MONAI nor torch."""
