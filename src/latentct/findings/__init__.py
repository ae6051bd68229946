"""What an image tells about the scan that made it, and a virtual scan of it. Knows no files."""

from latentct.findings.field import CircularField, find_field
from latentct.findings.find import Findings, find
from latentct.findings.virtual import VirtualScan, rays_through_field, virtual_scan, with_changed_rays

__all__ = [
    "CircularField",
    "Findings",
    "VirtualScan",
    "find",
    "find_field",
    "rays_through_field",
    "virtual_scan",
    "with_changed_rays",
]
