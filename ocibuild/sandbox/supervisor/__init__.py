"""Who a step's processes believe to be, and whom they give files to, where there is one ID: kept for them by us.

The kernel stops a process at the system calls in ``rules`` and hands them to the supervisor, see seccomp_unotify(2). It
answers them in the step's own file system, from records: a process's IDs are in ``credentials``, a file's owner in
``ocibuild.owner_records``.
"""
