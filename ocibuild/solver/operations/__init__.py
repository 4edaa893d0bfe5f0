"""The operations, one file a kind: how the result of each vertex is made."""
