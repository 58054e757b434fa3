"""Fine-tuning that stays close to the answers of a frozen teacher.

The teacher is the untouched backbone or the model at the start of the task.
"""
