"""Checks a wheel's size and sha256, then unpacks what libtorch needs of it.

Arguments: WHEEL BYTES SHA256 DESTINATION LIBRARY_FOLDER HEADER_FOLDER LIBRARY...
HEADER_FOLDER is empty for a wheel whose headers are not wanted.
"""

import hashlib
import os
import shutil
import sys
import zipfile
import zlib


def main(wheel, size, sha256, destination, library_folder, header_folder, *libraries):
    digest = hashlib.sha256()
    with open(wheel, "rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    found = os.path.getsize(wheel)
    if found != int(size):
        sys.exit(f"{os.path.basename(wheel)} has {found} bytes, expected {size}")
    if digest.hexdigest() != sha256:
        sys.exit(f"{os.path.basename(wheel)} has sha256 {digest.hexdigest()}, expected {sha256}")

    with zipfile.ZipFile(wheel) as archive:
        wanted = {f"{library_folder}/{name}": f"lib/{name}" for name in libraries}
        if header_folder:
            for name in archive.namelist():
                if name.startswith(header_folder + "/") and not name.endswith("/"):
                    wanted[name] = "include" + name[len(header_folder) :]
        for name, target in wanted.items():
            path = os.path.join(destination, target)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with archive.open(name) as source, open(path, "wb") as file:
                shutil.copyfileobj(source, file, 1 << 20)
                if target.startswith("lib/"):
                    # The folder is renamed into place next: after a power cut its name must not vouch for empty files.
                    file.flush()
                    os.fsync(file.fileno())


try:
    main(*sys.argv[1:])
except (OSError, KeyError, zipfile.BadZipFile, zlib.error, EOFError) as error:
    sys.exit(f"{type(error).__name__}: {error}")
