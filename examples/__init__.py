"""Parts of one's own, one file per kind; copy the one you need.

A study in the folder above names them `examples.own_design:Curriculum`, and so on.
"""
