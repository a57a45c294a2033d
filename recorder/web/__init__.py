"""Recordings in a browser: the Datasette plugin with its pages and their data, and the server of `webpf browse`.

Its face: `plugin` (the hooks, which Datasette loads), `browse`, `server`, `site_config`. This module imports nothing,
so that `browse` can report in one line that Datasette is missing or broken.
"""
