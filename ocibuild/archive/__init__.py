"""OCI image layouts, archives of them and of docker: written, read, validated, and copied from and to."""

from ocibuild.archive.contents import contents
from ocibuild.archive.destination import destination, translating
from ocibuild.archive.dockerarchive import index_refused
from ocibuild.archive.dockersource import docker_archive_source
from ocibuild.archive.faults import Fault, Report
from ocibuild.archive.folderdestination import folder_destination
from ocibuild.archive.foldersource import folder_source
from ocibuild.archive.layout import LayoutDirectory, Source, open_source
from ocibuild.archive.layoutdestination import archive_destination, docker_archive_destination, layout_destination
from ocibuild.archive.layoutsource import layout_source
from ocibuild.archive.listing import ArchiveEntry, archive_entries
from ocibuild.archive.load import load_layout
from ocibuild.archive.naming import CONTAINERD_NAME, name_of
from ocibuild.archive.plainfile import opened_file, plain_file
from ocibuild.archive.tarred import OciArchive
from ocibuild.archive.validate import validate_image, validate_path, validate_stored
from ocibuild.archive.write import ArchiveForm, NamedImage, write_archive, write_layout

__all__ = [
    "CONTAINERD_NAME",
    "ArchiveEntry",
    "ArchiveForm",
    "Fault",
    "LayoutDirectory",
    "NamedImage",
    "OciArchive",
    "Report",
    "Source",
    "archive_destination",
    "archive_entries",
    "contents",
    "destination",
    "docker_archive_destination",
    "docker_archive_source",
    "folder_destination",
    "folder_source",
    "index_refused",
    "layout_destination",
    "layout_source",
    "load_layout",
    "name_of",
    "open_source",
    "opened_file",
    "plain_file",
    "translating",
    "validate_image",
    "validate_path",
    "validate_stored",
    "write_archive",
    "write_layout",
]
