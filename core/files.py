"""Files that are whole or absent: all that Fusescope writes goes through here, artefacts are checked before use."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import secrets
from pathlib import Path

from core.errors import ModelError, StoreError


def write_atomic(path: Path, data: bytes, *, mode: int = 0o644) -> Path:
    """Write `data` so that a reader sees the old file or the whole new one, also after kill -9 or a power cut.

    Folders on the way are made. Raises StoreError E-DISK-FULL or E-DB-READONLY; the old file is then still whole.
    """
    temporary = path.with_name(f".{path.name[:80]}.{secrets.token_hex(4)}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        _sync_folder(path.parent)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise disk_error(error, path.name) from error
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return path


def _sync_folder(folder: Path) -> None:
    if os.name != "posix":  # other systems cannot open a folder
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def disk_error(error: OSError, name: str) -> StoreError:
    """The same fault in words a person can act on."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StoreError(
            "E-DISK-FULL", f"{name}: the disk is full; nothing was changed. Free some space, then repeat the last step."
        )
    return StoreError(
        "E-DB-READONLY",
        f"{name}: the workspace cannot be written ({os.strerror(error.errno or errno.EIO).lower()}). "
        "Choose another folder with --home or FUSESCOPE_HOME.",
    )


def digest_bytes(data: bytes) -> str:
    """sha256 in hex."""
    return hashlib.sha256(data).hexdigest()


def digest_file(path: Path) -> str:
    """sha256 of a file in hex, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sealed(data: bytes) -> bytes:
    """`data` with its own sha256 behind it, for files that nothing else vouches for."""
    return data + hashlib.sha256(data).digest()


def unsealed(data: bytes) -> bytes | None:
    """What was sealed, None where a bit of it changed or an end is missing."""
    body, seal = data[:-32], data[-32:]
    return body if len(data) >= 32 and hashlib.sha256(body).digest() == seal else None


def secret_key(path: Path) -> bytes:
    """32 random bytes that stay the same, made on first use for their owner's eyes only. Raises StoreError."""
    if not path.is_file():
        write_atomic(path, sealed(secrets.token_bytes(32)), mode=0o600)
    data = path.read_bytes()
    key = data if len(data) == 32 else unsealed(data)  # the first versions kept it bare
    if key is None:
        raise StoreError(
            "E-DB-BROKEN",
            f"{path.name}: this file was changed, and without it nobody's id is known any more. Put its backup back.",
        )
    return key


def read_verified(path: Path, digest: str) -> bytes:
    """The bytes of `path` if their sha256 is `digest`; raises ModelError E-MODEL-SUM or E-MODEL-EMPTY otherwise."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise ModelError(
            "E-MODEL-EMPTY", f"{path.name}: the file is missing; train the run again, or fetch it again with git."
        ) from None
    came = digest_bytes(data)
    if came != digest:
        raise ModelError(
            "E-MODEL-SUM",
            f"{path.name}: sha256 {came[:12]}... was found, {digest[:12]}... was expected; the file was changed or "
            "damaged and is not used. Train the run again, or fetch it again with git.",
        )
    return data


def weights_of(run_folder: Path) -> str:
    """sha256 of the weights that a run's record names: what was made with other weights is not of this run."""
    return str(json.loads((run_folder / "run.json").read_text("utf-8"))["digests"]["model.safetensors"])
