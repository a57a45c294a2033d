"""The kernel side: compiles and attaches the BPF programs, drains their ring buffer. Only importer of BCC.

Its face: `probe.Probe`, `filters.Filters`, `preflight`, `doctor`.
"""
