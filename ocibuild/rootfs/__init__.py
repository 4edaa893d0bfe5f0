"""Root file systems: layers unpacked to snapshots, snapshots stacked to trees, and what a step changed in one."""

from ocibuild.rootfs.snapshotter import Snapshotter
from ocibuild.rootfs.unpack import Blob, unpack, unpack_stored, unpacked

__all__ = ["Blob", "Snapshotter", "unpack", "unpack_stored", "unpacked"]
