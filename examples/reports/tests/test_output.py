"""The PDF, the pictures and the texts, as files."""

import shutil
import subprocess
from pathlib import Path

import headrace as hr
import numpy as np
import pandas as pd
import pytest
from PIL import Image

import app
import document
import picture
import plots
import samples
import texts


def test_the_pdf_has_text_and_plots(tmp_path: Path) -> None:
    source = tmp_path / "table.csv"
    pd.DataFrame({"Größe <m>": np.arange(5_000) % 97, "Город": ["Москва", "Омск"] * 2_500}).to_csv(source, index=False)
    profile = app.read(hr.Job(), source)
    figures = [app.describe(column, 3) for column in profile.columns]
    target = tmp_path / "report.pdf"
    document.write(target, "Größen & Städte", "5,000 rows", app.sections(figures), list(plots.draw(profile, tmp_path)))
    assert target.read_bytes().startswith(b"%PDF-")
    if shutil.which("pdftotext") is None:
        pytest.skip("poppler-utils is not installed")
    text = subprocess.run(["pdftotext", "-layout", str(target), "-"], check=True, capture_output=True, text=True).stdout
    for wanted in ("Größen & Städte", "5,000 rows", "Größe <m>", "Город", "Москва", "Median", "48"):
        assert wanted in text
    assert len(subprocess.run(["pdfimages", "-list", str(target)], check=True, capture_output=True, text=True).stdout.splitlines()) > 2


def test_a_picture_in_all_sizes(tmp_path: Path) -> None:
    source = tmp_path / "drawn.png"
    Image.linear_gradient("L").resize((1000, 500)).convert("RGBA").save(source)
    made = list(picture.versions(picture.load(source), (1600, 400, 100), tmp_path, "drawn"))
    assert [(one.format, one.width, one.height) for one in made] == [(name, *size) for size in ((1000, 500), (400, 200), (100, 50))
                                                                    for name in ("JPEG", "WEBP", "AVIF")]
    for one in made:
        with Image.open(one.path) as written:
            assert (written.format, written.size) == (one.format, (one.width, one.height))


def test_what_is_no_picture_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    path.write_bytes(b"a,b\n1,2\n")
    with pytest.raises(hr.Fail, match="not a picture"):
        picture.load(path)
    Image.new("RGB", (300, 300)).save(path)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(hr.Fail, match="hint: "):
        picture.load(path)
    with pytest.raises(hr.Fail, match="sizes"):
        picture.widths(100, [])


def test_similar_documents(tmp_path: Path) -> None:
    path = tmp_path / "texts.txt"
    path.write_text("\n\n".join([
        "The canal and the railroad carry wheat and corn to the harbour all summer.",
        "A railroad beside the canal would carry corn and wheat to market in winter.",
        "The court heard the judge about the constitution and the amendment of law.",
        "An amendment of the constitution needs the consent of the court and judge.",
    ]))
    found = app.compare(hr.Job(), path, "Texts", "railroad for wheat")
    assert [one.similar[0].at for one in found.documents] == [1, 0, 3, 2]
    assert {one.at for one in found.matches} == {0, 1}
    assert "canal" in found.documents[0].keywords


def test_what_is_no_corpus_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "texts.txt"
    path.write_text("too short")
    with pytest.raises(hr.Fail, match="only 0 documents"):
        texts.read(path)
    path.write_text('{"title": "a", "text": "b"}\n{"title": "a"}\n')
    with pytest.raises(hr.Fail, match="line 2"):
        texts.read(path)
    path.write_bytes(b"\xff\xfe\xfa")
    with pytest.raises(hr.Fail, match="UTF-8"):
        texts.read(path)


@pytest.mark.skipif(not samples.DATA.exists(), reason="prepare.py has not been run")
def test_the_prepared_data() -> None:
    assert all(one.size for one in app.samples())
    profile = app.read(hr.Job(), samples.SAMPLES["flights"].path)
    assert profile.rows == 200_000 and [one.name for one in profile.columns] == ["delay", "distance", "hour"]
    assert len(texts.read(samples.SAMPLES["addresses"].path)) == 233
