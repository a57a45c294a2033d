"""The recorder as a service of systemd: installs and removes it, and says how it is.

Its face: `installation.install`, `installation.uninstall`, `service_state.read_state`, `unit_file`.
"""
