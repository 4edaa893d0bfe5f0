"""Blobs on their way here and there."""
