"""Input that nobody would write, to be met with an answer or a typed error."""
