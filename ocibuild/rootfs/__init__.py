"""Root file systems: layers unpacked to snapshots, snapshots stacked to trees, and what a step changed in one."""

from ocibuild.rootfs.snapshotter import Snapshotter
from ocibuild.rootfs.unpack import Blob, unpack, unpacked

__all__ = ["Blob", "Snapshotter", "unpack", "unpacked"]
