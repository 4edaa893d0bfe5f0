"""The same work done by ocibuild and by its peers, side by side in one run: ``python -m benchmarks``.

It needs mmdebstrap, and docker-registry for all that is not a build; half an hour or more, most of it for the images of
1 GiB and more; 30 GB of disk, and 5 GB for each round. Images are made once a machine, in some minutes. Runs that
follow one another within five minutes disturb each other: ext4 is slow to give away inodes that were deleted a short
while before, and each run ends with deleting what it made.
"""
