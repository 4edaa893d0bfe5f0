"""What is kept between builds: blobs, tags, unpacked layers, cache records, and the locks around them."""

from ocibuild.store.blobs import Blobs, BlobWriter, Follower
from ocibuild.store.caches import Cache, Caches
from ocibuild.store.containers import Container, Containers, RunningContainer
from ocibuild.store.downloads import Download, Downloads
from ocibuild.store.image_io import StoreDestination, StoreSource
from ocibuild.store.imagefilter import ImageFilter
from ocibuild.store.images import StoredImage, load_image, pair_layers
from ocibuild.store.inputs import Earlier, MadeFrom, RecordedInputs
from ocibuild.store.items import Item, Kind
from ocibuild.store.knowndigests import KnownDigests
from ocibuild.store.locks import Lock, Locks
from ocibuild.store.lookup import ListedImage, find_entry, find_image, images_by_id, list_images
from ocibuild.store.origins import Origins
from ocibuild.store.pruning import Pruning
from ocibuild.store.records import LayerRecord, Record, Records
from ocibuild.store.snapshots import ActiveSnapshot, Layer, Snapshot, Snapshots
from ocibuild.store.store import Store, translate_errors
from ocibuild.store.tags import REF_NAME, Tags
from ocibuild.store.trees import HeldTree, Trees
from ocibuild.store.untagging import RemovedImage, remove_image

__all__ = [
    "REF_NAME",
    "ActiveSnapshot",
    "BlobWriter",
    "Blobs",
    "Cache",
    "Caches",
    "Container",
    "Containers",
    "Download",
    "Downloads",
    "Earlier",
    "Follower",
    "HeldTree",
    "ImageFilter",
    "Item",
    "Kind",
    "KnownDigests",
    "Layer",
    "LayerRecord",
    "ListedImage",
    "Lock",
    "Locks",
    "MadeFrom",
    "Origins",
    "Pruning",
    "Record",
    "RecordedInputs",
    "Records",
    "RemovedImage",
    "RunningContainer",
    "Snapshot",
    "Snapshots",
    "Store",
    "StoreDestination",
    "StoreSource",
    "StoredImage",
    "Tags",
    "Trees",
    "find_entry",
    "find_image",
    "images_by_id",
    "list_images",
    "load_image",
    "pair_layers",
    "remove_image",
    "translate_errors",
]
