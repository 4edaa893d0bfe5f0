"""The configuration file: where registries are, whom to trust, and how large an image may be."""
