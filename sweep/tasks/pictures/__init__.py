"""Tasks of real pictures that ship with the package, and how their table is made.

Packages of public registries come in; 32x32 pictures with captions, sources and licences go out.
"""
