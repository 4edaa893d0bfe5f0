"""Root file systems: layers unpacked to snapshots, snapshots stacked to trees, and what a step changed in one."""

from ocibuild.rootfs.copy import CopySnapshotter
from ocibuild.rootfs.overlay import OverlaySnapshotter
from ocibuild.rootfs.snapshotter import Snapshotter
from ocibuild.rootfs.unpack import Blob, unpack, unpacked

__all__ = ["Blob", "CopySnapshotter", "OverlaySnapshotter", "Snapshotter", "unpack", "unpacked"]
