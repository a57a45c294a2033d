"""Records real builds, and compares the recordings with the builds' own logs."""
