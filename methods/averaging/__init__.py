"""Averages of weights along the path of fine-tuning.

A stage trains as `finetune` does, then leaves behind an average of the weights it passed through.
"""
