"""What this platform costs beside a peer that does the same or less, measured in one run on one machine.

`python -m benchmarks [NAME ...]`. Each module has `run`, which gives its results; the costs are CPU-seconds.
"""
