"""OCI image layouts and archives of them: written from the store, read and validated."""

from ocibuild.archive.contents import contents
from ocibuild.archive.faults import Fault, Report
from ocibuild.archive.layout import LayoutDirectory, Source, open_source
from ocibuild.archive.load import load_layout
from ocibuild.archive.naming import CONTAINERD_NAME, name_of
from ocibuild.archive.tarred import OciArchive
from ocibuild.archive.validate import validate_image, validate_path, validate_stored
from ocibuild.archive.write import write_oci_archive, write_oci_layout

__all__ = [
    "CONTAINERD_NAME",
    "Fault",
    "LayoutDirectory",
    "OciArchive",
    "Report",
    "Source",
    "contents",
    "load_layout",
    "name_of",
    "open_source",
    "validate_image",
    "validate_path",
    "validate_stored",
    "write_oci_archive",
    "write_oci_layout",
]
