"""Root file systems: layers unpacked to snapshots, snapshots stacked to trees, and what a step changed in one."""
