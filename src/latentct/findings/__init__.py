"""What an image tells about the scan that made it, and a virtual scan of it. Knows no files."""

from latentct.findings.field import CircularField, find_field
from latentct.findings.find import Findings, find
from latentct.findings.virtual import VirtualScan, measured_rays, virtual_scan, with_changed_rays

__all__ = [
    "CircularField",
    "Findings",
    "VirtualScan",
    "find",
    "find_field",
    "measured_rays",
    "virtual_scan",
    "with_changed_rays",
]
