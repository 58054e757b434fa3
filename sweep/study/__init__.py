"""The study file: read, validated, and where its backbones are.

YAML comes in; a `Study` goes out, or one sentence on what is wrong with it.
"""
