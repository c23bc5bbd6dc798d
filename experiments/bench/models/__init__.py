"""Timings of quantized models beside float models, and beside other libraries: `python -m experiments.bench models`."""
