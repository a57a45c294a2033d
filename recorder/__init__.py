"""webpf: records every process of a Linux machine with eBPF into SQLite."""

__version__ = "0.1.0"
