"""Statistics over task orders, and the report of a study.

In: a run folder, or results of other tools. Out: tables with intervals, and one HTML page.
"""

import lazy_loader

# Names are listed once, in __init__.pyi, and loaded when they are first used: scipy takes a second
# to import, plotly and sklearn another, and most of what imports this package needs none of them.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
