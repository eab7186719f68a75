"""Pictures that need no script: SVG for paper, mail and a published page; they load nothing and run nothing.

Words and lines have the colour of the text around them (`currentColor`), so that a picture fits a dark page, and no
picture has a style of its own, which a strict Content-Security-Policy would refuse.
"""

from dashboard.charts.printed.curves import printed_curves
from dashboard.charts.printed.strips import printed_groups, printed_strip
from dashboard.charts.printed.tradeoff import printed

__all__ = ["printed", "printed_curves", "printed_groups", "printed_strip"]
