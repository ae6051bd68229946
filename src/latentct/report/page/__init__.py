"""The page of a run: one HTML file that shows what was done, needs no network and holds no patient's name."""

from latentct.report.page.content import Convergence, PageContent, Sinogram, Table, Volumes
from latentct.report.page.html import write_page

__all__ = ["Convergence", "PageContent", "Sinogram", "Table", "Volumes", "write_page"]
