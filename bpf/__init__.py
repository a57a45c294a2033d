"""The BPF program, which recorder/probe.py compiles on the machine where it runs."""
