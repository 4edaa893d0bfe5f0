"""The same work done by ocibuild and by its peers, side by side in one run: ``python -m benchmarks``.

It needs mmdebstrap, some minutes, and 1.3 GB of disk for each round. Runs that follow one another within five minutes
disturb each other: ext4 is slow to give away inodes that were deleted a short while before, and each run ends with
deleting what it made.
"""
