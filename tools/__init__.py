"""Programs for those who develop webpf: measuring, comparing, showing. Run as modules from the project's folder."""
