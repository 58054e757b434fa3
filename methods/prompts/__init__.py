"""Prompts for a frozen backbone: learnt tokens in front of texts, learnt keys and values.

A stage trains prompts; images choose among those of the tasks learnt so far.
"""
