"""Benchmarks: the cost of webpf and of other recorders, and the time of saved queries."""
