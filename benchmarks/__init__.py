"""The same work done by ocibuild and by its peers, side by side in one run: ``python -m benchmarks``.

It needs mmdebstrap, and docker-registry for all that is pulled or pushed; an hour or more, most of it for what has
1 GiB and more; 20 GB of disk, and 7 GB for each round. ``--growth`` is a quarter of an hour of ocibuild alone, and
30 GB. Images are made once a machine, in some minutes. Runs that follow one another within five minutes disturb each
other: ext4 is slow to give away inodes that were deleted a short while before, and each run ends with deleting what it
made.
"""
