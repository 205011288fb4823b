"""Unpacks the headers and libraries of wheels: unpack_wheels.py REQUIREMENTS WHEEL_FOLDER TARGET.

Each line "name==version --hash=sha256:DIGEST" of REQUIREMENTS names a wheel; the file with that digest is unpacked, so a cache folder that
holds other versions does no harm. Python sources are left out: C++ needs torch/include, torch/lib, torch/share and nvidia/.
"""

import hashlib
import pathlib
import re
import sys
import zipfile

WANTED = ("torch/include/", "torch/lib/", "torch/share/", "nvidia/")


def digest(path: pathlib.Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() if hasattr(hashlib, "file_digest") else hashlib.sha256(file.read()).hexdigest()


def main() -> None:
    requirements, folder, target = (pathlib.Path(argument) for argument in sys.argv[1:4])
    pins = re.findall(r"^([\w-]+)==(\S+) --hash=sha256:(\w+)$", requirements.read_text(), re.MULTILINE)
    for name, version, expected in pins:
        candidates = folder.glob(f"{name.replace('-', '_')}-{version}-*.whl")
        wheel = next((path for path in candidates if digest(path) == expected), None)
        if wheel is None:
            sys.exit(f"error: no wheel of {name} {version} with SHA-256 {expected} in {folder}: remove the folder and run tools/setup.sh again")
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(target, [member for member in archive.namelist() if member.startswith(WANTED) and not member.endswith(".py")])


main()
