"""What was measured, as a table for people and as JSON."""

from dataclasses import dataclass

from bench.rows import OURS, ROWS, Figures, Unit


@dataclass(frozen=True)
class Line:
    """One comparison, or our own figure alone. `reached` is None where there is nothing to reach."""

    subject: str
    measure: str
    unit: Unit
    ours: float
    peer: str = ""
    theirs: float | None = None
    ratio: float | None = None
    goal: str = ""
    wanted_ratio: float | None = None
    reached: bool | None = None


def lines(figures: Figures) -> list[Line]:
    """A line a peer of what was measured, in the order of ROWS; a row without figures is left out."""
    found = []
    for row in ROWS:
        if row.measure not in figures:
            continue
        measured = figures[row.measure]
        ours = measured[OURS]
        head = (row.subject, row.measure, row.unit, ours)
        if row.limit is not None:
            reached = float(f"{ours:.3g}") <= row.limit
            found.append(Line(*head, goal=f"<= {readable(row.limit, row.unit)}", reached=reached))
        for peer, wanted in row.peers.items():
            if peer not in measured:  # it is not installed
                continue
            ratio = measured[peer] / ours
            goal = {} if wanted is None else {"goal": f">= {wanted:.2f}", "wanted_ratio": wanted,
                                              "reached": as_shown(ratio) >= as_shown(wanted)}
            found.append(Line(*head, peer=peer, theirs=measured[peer], ratio=ratio, **goal))
    return found


def ratio_text(ratio: float) -> str:
    """Two decimals; two digits of what is less than a tenth."""
    return f"{ratio:.2f}" if ratio >= 0.1 else f"{ratio:.2g}"


def as_shown(ratio: float) -> float:
    """No more precise than its text, so that what looks like its goal has met it."""
    return float(ratio_text(ratio))


def readable(figure: float, unit: Unit) -> str:
    """With three digits or so, and its unit."""
    if figure == 0:
        return "0"
    if unit is Unit.COUNT:
        return f"{figure:.2f}"
    scales = {Unit.SECONDS: (("s", 1), ("ms", 1e-3), ("us", 1e-6), ("ns", 1e-9)),
              Unit.BYTES: (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1))}[unit]
    name, scale = next((scale for scale in scales if figure >= scale[1]), scales[-1])
    return f"{figure / scale:.3g} {name}" if figure < 99.95 * scale else f"{figure / scale:.0f} {name}"


def table(found: list[Line]) -> str:
    """A line each: measure, our figure, peer, its figure, how many times ours that is, the goal, whether it is met."""
    rows = [("MEASURE", "ARRAYFS", "PEER", "ITS", "TIMES", "GOAL", "")]
    before = None
    for line in found:
        first = line.measure != before
        before = line.measure
        rows.append((
            line.measure if first else "",
            readable(line.ours, line.unit) if first else "",
            line.peer,
            "" if line.theirs is None else readable(line.theirs, line.unit),
            "" if line.ratio is None else ratio_text(line.ratio),
            line.goal,
            {None: "", True: "met", False: "not met"}[line.reached],
        ))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    right = {1, 3, 4, 5}  # figures
    return "\n".join("  ".join(cell.rjust(width) if i in right else cell.ljust(width)
                               for i, (cell, width) in enumerate(zip(row, widths, strict=True))).rstrip()
                     for row in rows)
