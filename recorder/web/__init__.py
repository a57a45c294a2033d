"""Recordings in a browser: the Datasette plugin with its pages and their data, and Datasette behind `webpf browse`.

Its face: `plugin` (the hooks, which Datasette loads), `browse`, `server`, `site_config`. This imports nothing, so that
`browse` can say in one line that Datasette is missing or broken.
"""
