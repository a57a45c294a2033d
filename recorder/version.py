"""The version of webpf."""

__version__ = "0.1.0"
