"""The kernel side: compiles and attaches the BPF programs, and drains their ring buffer. The only importer of BCC.

Its face: `probe.Probe`, `filters.Filters`, `preflight`, `doctor`.
"""
