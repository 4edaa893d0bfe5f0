"""HTTP as it has to be for registries: connections, redirects, attempts, and servers that mean no good."""
