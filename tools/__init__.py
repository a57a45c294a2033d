"""Programs for developers of webpf: benchmarks, comparisons, documents. Run them as modules in the project's folder."""
