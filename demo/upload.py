"""An image of one layer, made of a plain tar and put into a registry over HTTP."""

from __future__ import annotations

import hashlib
import tempfile
import zlib
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from ocibuild.oci import (
    Descriptor,
    DiffID,
    Digest,
    History,
    ImageConfig,
    Index,
    Manifest,
    Platform,
    Reference,
    RunConfig,
    mediatypes,
)
from ocibuild.registry import Credentials, Registry, RegistryConfig

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import BinaryIO

_PIECE = 1 << 20


def upload_image(
    reference: str, plain_tar: BinaryIO, config: RunConfig, *, created_by: str, platform: Platform | None = None
) -> Descriptor:
    """Push an image whose only layer is ``plain_tar``; returns its manifest's descriptor.

    ``reference`` has a tag. The image is for this machine's platform, where none is given.
    """
    target = Reference.parse(reference)
    created = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    with tempfile.TemporaryDirectory() as folder, Registry(RegistryConfig(), Credentials()) as registry:
        layer, diff_id = _compress(plain_tar, f"{folder}/layer")
        image = ImageConfig(
            platform=platform or Platform.host(),
            created=created,
            config=config,
            diff_ids=(diff_id,),
            history=(History(created=created, created_by=created_by),),
        )
        written = _write_config(image, f"{folder}/config")
        for name, descriptor in (("layer", layer), ("config", written)):
            if not registry.blob_exists(target, descriptor.digest):
                registry.upload_blob(target, descriptor, partial(_open, f"{folder}/{name}"), lambda _: None)
        manifest = Manifest(mediatypes.OCI_MANIFEST, written, (layer,)).to_bytes()
        digest = registry.push_manifest(target, manifest, mediatypes.OCI_MANIFEST)
        return Descriptor(mediatypes.OCI_MANIFEST, digest, len(manifest))


def upload_index(reference: str, images: Mapping[Platform, str]) -> None:
    """Push an index of images that are in the same repository, by the references that they have there."""
    target = Reference.parse(reference)
    with Registry(RegistryConfig(), Credentials()) as registry:
        entries = [
            replace(registry.manifest(Reference.parse(image))[1], platform=platform)
            for platform, image in images.items()
        ]
        registry.push_manifest(target, Index(mediatypes.OCI_INDEX, tuple(entries)).to_bytes(), mediatypes.OCI_INDEX)


def _compress(plain_tar: BinaryIO, path: str) -> tuple[Descriptor, DiffID]:
    plain, packed, packer, size = hashlib.sha256(), hashlib.sha256(), zlib.compressobj(1, wbits=31), 0
    with open(path, "wb") as blob:
        while piece := plain_tar.read(_PIECE):
            plain.update(piece)
            packed.update(pressed := packer.compress(piece))
            size += blob.write(pressed)
        packed.update(pressed := packer.flush())
        size += blob.write(pressed)
    digest = Digest.parse(f"sha256:{packed.hexdigest()}")
    return Descriptor(mediatypes.OCI_LAYER_GZIP, digest, size), DiffID(Digest.parse(f"sha256:{plain.hexdigest()}"))


def _write_config(image: ImageConfig, path: str) -> Descriptor:
    data = image.to_bytes()
    with open(path, "wb") as file:
        file.write(data)
    return Descriptor(mediatypes.OCI_CONFIG, Digest.of(data), len(data))


def _open(path: str, offset: int) -> BinaryIO:
    file = open(path, "rb")  # noqa: SIM115  (whoever asked for it closes it)
    file.seek(offset)
    return file
