"""OCI's words as frozen values: references, digests, descriptors, manifests, indexes, configs, platforms."""

from ocibuild.oci import mediatypes
from ocibuild.oci.config import History, ImageConfig
from ocibuild.oci.descriptor import Descriptor
from ocibuild.oci.digest import ChainID, DiffID, Digest, chain_id, chain_ids
from ocibuild.oci.image_io import BlobReader, ImageDestination, ImageSource
from ocibuild.oci.limits import Limits
from ocibuild.oci.manifest import Index, Manifest, parse_manifest
from ocibuild.oci.match import acceptable_platforms, is_attestation, is_foreign, select
from ocibuild.oci.mediatypes import Compression, compression_of, is_index, is_layer, is_manifest, layer_type
from ocibuild.oci.platform import Platform
from ocibuild.oci.reference import Reference
from ocibuild.oci.runconfig import Healthcheck, RunConfig
from ocibuild.oci.validation import prepare_validation, validate

__all__ = [
    "BlobReader",
    "ChainID",
    "Compression",
    "Descriptor",
    "DiffID",
    "Digest",
    "Healthcheck",
    "History",
    "ImageConfig",
    "ImageDestination",
    "ImageSource",
    "Index",
    "Limits",
    "Manifest",
    "Platform",
    "Reference",
    "RunConfig",
    "acceptable_platforms",
    "chain_id",
    "chain_ids",
    "compression_of",
    "is_attestation",
    "is_foreign",
    "is_index",
    "is_layer",
    "is_manifest",
    "layer_type",
    "mediatypes",
    "parse_manifest",
    "prepare_validation",
    "select",
    "validate",
]
