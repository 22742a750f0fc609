"""fs/SEMANTICS.md against the tests: every test it names exists, every parity row is named."""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]


def parity_rows() -> set[str]:
    rows: set[str] = set()
    for source in (ROOT / "tests/parity").glob("*_rows.cpp"):
        rows.update(re.findall(r"^ROW\w*\((\w+)", source.read_text(), re.MULTILINE))
    return rows


def mount_tests() -> set[str]:
    tests: set[str] = set()
    for source in (ROOT / "tests/mount").glob("*_test.py"):
        suite = source.name.removesuffix("_test.py")
        names = re.findall(r"^    def (test_\w+)", source.read_text(), re.MULTILINE)
        tests.update(f"{suite}.{name}" for name in names)
    return tests


def named(page: str) -> tuple[set[str], set[str], list[str]]:
    """Parity rows and mount tests that the page names, and table rows that name no test."""
    rows: set[str] = set()
    tests: set[str] = set()
    bare: list[str] = []
    for line in page.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not line.startswith("|") or len(cells) != 3 or cells[2] in ("tests", "---"):
            continue
        words = cells[2].split()
        rows.update(word for word in words if "." not in word)
        tests.update(word for word in words if "." in word)
        if not words:
            bare.append(cells[0])
    return rows, tests, bare


def main() -> int:
    rows, tests, bare = named((ROOT / "fs/SEMANTICS.md").read_text())
    problems = [f"row without a test: {name}" for name in bare]
    problems += [f"no such parity row: {name}" for name in sorted(rows - parity_rows())]
    problems += [f"no such test in tests/mount: {name}" for name in sorted(tests - mount_tests())]
    problems += [f"not in SEMANTICS.md: {name}" for name in sorted(parity_rows() - rows)]
    if not rows or not tests:
        problems.append("SEMANTICS.md names no tests: its tables have changed")
    print("\n".join(problems) or f"{len(rows)} parity rows, {len(tests)} mount tests")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
