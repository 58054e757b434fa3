"""Sweeps task orders: study files, plans, and the engine that runs them on Ray.

from sweep import Study, run
run(Study.load("quickstart"))
"""

import lazy_loader

# What `__init__.pyi` lists is loaded when it is first used: reading a study must not wait for Ray.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
