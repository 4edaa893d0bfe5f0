"""What a Dockerfile offers: the outline of a target, and the targets."""
