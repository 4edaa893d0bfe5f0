"""Instructions to a graph and an image's config."""
