"""What methods of several families share: functions on tensors, backbones and stages.

A family of methods imports from here, from `backbones` and from `baselines`, not from another one.
"""
