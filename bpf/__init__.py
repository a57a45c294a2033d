"""The BPF program, which recorder/kernel/probe.py compiles on the machine where it runs."""
