"""Counts the words of what it is sent, over HTTP."""
