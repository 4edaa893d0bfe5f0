"""Tar in and tar out: layers unpacked for overlayfs, and changes packed as layers."""
