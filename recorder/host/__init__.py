"""The machine on which webpf runs: /proc, cgroups, clocks, signals, standard streams, owners of files.

Its face: `clock`, `procfs`, `cgroups`, `signals`, `file_owner`, `sudo_user`, `standard_streams`, `invocation`.
"""
