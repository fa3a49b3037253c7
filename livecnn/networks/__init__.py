"""Networks: bundles on disk, importers, architectures, input pipelines, and what can be read from a network at work."""
