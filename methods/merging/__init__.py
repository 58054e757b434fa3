"""One model, or one per task, made of experts that were trained apart."""
