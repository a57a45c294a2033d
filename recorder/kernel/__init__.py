"""The kernel side: compiles, loads and attaches the BPF programs, drains their ring buffer. The only importer of BCC.

Its face: `probe.Probe`, `filters.Filters`, `preflight`, `doctor`.
"""
