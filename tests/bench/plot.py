"""The ratios as a picture: a panel a subject, a bar a peer, a mark where the goal is.

    python3 -m bench.plot bench.json PICTURE [SUBJECT ...]    draws some of them again, as for the README
"""

import json
import sys
from pathlib import Path

from bench.report import Line, ratio_text

COLOURS = {True: "#3a7d44", False: "#c0392b", None: "#9aa5b1"}
LEGEND = {True: "goal met", False: "goal not met", None: "no goal"}


def draw(found: list[Line], path: Path) -> None:
    """Writes the picture of all lines that have a ratio. Errors: ImportError without python3-matplotlib."""
    import matplotlib
    matplotlib.use("agg")
    from matplotlib import pyplot
    from matplotlib.patches import Patch

    compared = [line for line in found if line.ratio is not None]
    subjects: dict[str, list[Line]] = {}
    for line in compared:
        subjects.setdefault(line.subject, []).append(line)
    if not subjects:
        return
    figure, panels = pyplot.subplots(
        len(subjects), squeeze=False, sharex=True, figsize=(9, 0.9 + 0.19 * (len(compared) + 2 * len(subjects))),
        gridspec_kw={"height_ratios": [len(lines) + 0.8 for lines in subjects.values()]}, layout="constrained")
    for panel, (subject, its_lines) in zip(panels[:, 0], subjects.items(), strict=True):
        draw_panel(panel, subject, its_lines)
    panels[-1, 0].set_xlabel("how many times as long (or as much) as arrayfs the peer takes")
    figure.legend(handles=[Patch(color=COLOURS[key], label=LEGEND[key]) for key in COLOURS],
                  loc="upper right", ncol=len(COLOURS), frameon=False, fontsize=8)
    figure.savefig(path)
    pyplot.close(figure)


def draw_panel(panel, subject: str, its_lines: list[Line]) -> None:
    labels = [f"{line.measure} | {line.peer}" for line in its_lines]
    heights = range(len(its_lines))
    panel.barh(heights, [line.ratio - 1 for line in its_lines], left=1, height=0.7,
               color=[COLOURS[line.reached] for line in its_lines])
    panel.set_xscale("log")
    panel.xaxis.set_major_formatter("{x:g}")
    panel.margins(x=0.08, y=0.01)
    panel.axvline(1, color="black", linewidth=0.8)
    for height, line in zip(heights, its_lines, strict=True):
        panel.annotate(ratio_text(line.ratio), (line.ratio, height), xytext=(3 if line.ratio >= 1 else -3, 0),
                       textcoords="offset points", va="center", ha="left" if line.ratio >= 1 else "right", fontsize=7)
        if line.wanted_ratio is not None:
            panel.plot([line.wanted_ratio] * 2, [height - 0.45, height + 0.45], color="black", linewidth=1.5)
    panel.set_yticks(heights, labels, fontsize=7)
    panel.invert_yaxis()
    panel.set_title(subject, loc="left", fontsize=9, fontweight="bold")
    panel.grid(axis="x", alpha=0.3)
    panel.spines[["top", "right"]].set_visible(False)


if __name__ == "__main__":
    source, picture, *chosen = sys.argv[1:]
    everything = [Line(**row) for row in json.loads(Path(source).read_text())["rows"]]
    draw([line for line in everything if not chosen or line.subject in chosen], Path(picture))
