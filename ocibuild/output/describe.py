"""An image as ``docker inspect``, ``docker images`` and ``docker history`` show it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ocibuild.oci import Reference, RunConfig
    from ocibuild.store import StoredImage


def describe_image(image: StoredImage, names: Sequence[Reference]) -> dict[str, Any]:
    """Return an image with docker's names of its members; ``Size`` is that of its blobs, in bytes."""
    config = image.config
    platform = config.platform
    return {
        "Id": image.manifest.config.digest,
        "RepoTags": [name.familiar() for name in names],
        "RepoDigests": sorted({f"{name.familiar_name()}@{image.descriptor.digest}" for name in names}),
        "Parent": "",
        "Comment": config.history[-1].comment if config.history else "",
        "Created": config.created or "",
        "DockerVersion": "",
        "Author": config.author,
        "Architecture": platform.architecture,
        "Variant": platform.variant or "",
        "Os": platform.os,
        "OsVersion": platform.os_version or "",
        "Size": image.size,
        "Config": describe_config(config.config),
        "RootFS": {"Type": "layers", "Layers": list(config.diff_ids)},
        "Descriptor": image.descriptor.to_json(),
    }


def describe_config(config: RunConfig) -> dict[str, Any]:
    """Return run settings with all of docker's members: scripts ask for those that are not set, too."""
    unset: dict[str, Any] = {
        "User": "",
        "ExposedPorts": {},
        "Env": [],
        "Entrypoint": [],
        "Cmd": [],
        "Volumes": {},
        "WorkingDir": "",
        "Labels": {},
        "OnBuild": [],
        "StopSignal": "",
        "Healthcheck": None,
        "Shell": [],
    }
    return unset | config.to_json()


def describe_history(image: StoredImage) -> list[dict[str, Any]]:
    """Return the history of an image, newest first; ``Size`` is that of the layer's blob, in bytes."""
    sizes = iter([layer.size for layer in image.manifest.layers])
    rows = []
    for number, entry in enumerate(image.config.history):
        last = number == len(image.config.history) - 1
        rows.append(
            {
                "Id": image.manifest.config.digest if last else "<missing>",
                "Created": entry.created,
                "CreatedBy": entry.created_by,
                "Size": 0 if entry.empty_layer else next(sizes, 0),
                "Comment": entry.comment,
            }
        )
    return rows[::-1]
