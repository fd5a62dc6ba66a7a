"""The report as a PDF: real text, tables that flow over pages, and the plots."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import matplotlib
from PIL import Image as Picture
from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.platypus import Image, KeepTogether, Paragraph, SimpleDocTemplate, Table, TableStyle

from plots import Plot

# DejaVu comes with matplotlib and knows far more letters than the fonts that every PDF reader has.
_FONTS = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
pdfmetrics.registerFont(TTFont("Sans", _FONTS / "DejaVuSans.ttf"))
pdfmetrics.registerFont(TTFont("Sans-Bold", _FONTS / "DejaVuSans-Bold.ttf"))

_INK, _MUTED, _LINE = colors.HexColor("#20242a"), colors.HexColor("#666d78"), colors.HexColor("#d5d9df")
_TITLE = ParagraphStyle("title", fontName="Sans-Bold", fontSize=20, leading=26, textColor=_INK, spaceAfter=3 * mm)
_HEADING = ParagraphStyle("heading", fontName="Sans-Bold", fontSize=12, leading=16, textColor=_INK, spaceBefore=7 * mm, spaceAfter=3 * mm)
_TEXT = ParagraphStyle("text", fontName="Sans", fontSize=9.5, leading=14, textColor=_INK)
_CELL = ParagraphStyle("cell", parent=_TEXT, fontSize=7.5, leading=10)
_HEAD = ParagraphStyle("head", parent=_CELL, fontName="Sans-Bold", textColor=_MUTED)
_CELL_RIGHT = ParagraphStyle("cell right", parent=_CELL, alignment=2)
_HEAD_RIGHT = ParagraphStyle("head right", parent=_HEAD, alignment=2)


@dataclass
class Section:
    """A heading and a table under it; numbers stand on the right."""

    heading: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    widths: Sequence[float]  # shares of the page
    left: Sequence[int] = (0,)  # columns of text


def write(path: Path, title: str, lead: str, sections: Sequence[Section], plots: Sequence[Plot]) -> None:
    document = SimpleDocTemplate(str(path), pagesize=A4, leftMargin=18 * mm, rightMargin=18 * mm, topMargin=18 * mm, bottomMargin=18 * mm,
                                 title=title, subject=lead, creator="headrace example: reports")
    width = document.width - 12  # the frame has a margin of 6 points
    story: list[Any] = [Paragraph(escape(title), _TITLE), Paragraph(escape(lead), _TEXT)]
    for section in sections:
        story += [Paragraph(escape(section.heading), _HEADING), _table(section, width)]
    for group, found in groupby(plots, key=lambda plot: plot.group):
        story.append(KeepTogether([Paragraph(escape(group), _HEADING), _pictures(list(found), width)]))
    document.build(story, onFirstPage=_foot, onLaterPages=_foot)


def _table(section: Section, width: float) -> Table:
    def line(texts: Sequence[str], left: ParagraphStyle, right: ParagraphStyle) -> list[Paragraph]:
        return [Paragraph(escape(text), left if at in section.left else right) for at, text in enumerate(texts)]

    rows = [line(section.head, _HEAD, _HEAD_RIGHT), *(line(row, _CELL, _CELL_RIGHT) for row in section.rows)]
    return Table(rows, colWidths=[share * width for share in section.widths], repeatRows=1, style=TableStyle([
        ("VALIGN", (0, 0), (-1, -1), "TOP"), ("LINEBELOW", (0, 0), (-1, -1), 0.5, _LINE),
        ("LEFTPADDING", (0, 0), (0, -1), 0), ("RIGHTPADDING", (-1, 0), (-1, -1), 0),
        ("TOPPADDING", (0, 0), (-1, -1), 3), ("BOTTOMPADDING", (0, 0), (-1, -1), 3),
    ]))


def _pictures(plots: Sequence[Plot], width: float) -> Table:
    """Three plots side by side, each under its name."""
    across = 3
    cells: list[Any] = []
    for plot in plots:
        with Picture.open(plot.path) as picture:
            height = (width / across - 4 * mm) * picture.height / picture.width
        cells.append([Paragraph(escape(plot.title), _CELL), Image(str(plot.path), width / across - 4 * mm, height)])
    cells += [""] * (-len(cells) % across)
    return Table([cells[at:at + across] for at in range(0, len(cells), across)], colWidths=[width / across] * across, style=TableStyle([
        ("VALIGN", (0, 0), (-1, -1), "TOP"), ("LEFTPADDING", (0, 0), (-1, -1), 0), ("RIGHTPADDING", (0, 0), (-1, -1), 4 * mm),
    ]))


def _foot(canvas: Any, document: Any) -> None:
    canvas.saveState()
    canvas.setFont("Sans", 7.5)
    canvas.setFillColor(_MUTED)
    canvas.drawRightString(A4[0] - 18 * mm, 10 * mm, f"Page {canvas.getPageNumber()}")
    canvas.restoreState()
