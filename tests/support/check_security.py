"""fs/SECURITY.md against the tests: every attack names tests, and all of them exist."""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]


def tests() -> set[str]:
    known = {source.stem for source in (ROOT / "tests/fuzz").glob("*_fuzz.cpp")}
    for source in (ROOT / "tests/unit/fs").glob("*_test.cpp"):
        known.update(re.findall(r"^TEST\w*\(\w+,\s*(\w+)\)", source.read_text(), re.MULTILINE))
    for source in (ROOT / "tests/mount").glob("*_test.py"):
        suite = source.name.removesuffix("_test.py")
        known.update(f"{suite}.{name}" for name in re.findall(r"^    def (test_\w+)", source.read_text(), re.MULTILINE))
    return known


def main() -> int:
    known = tests()
    attacks = 0
    problems = []
    for line in (ROOT / "fs/SECURITY.md").read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not line.startswith("|") or len(cells) != 3 or cells[2] in ("shown by", "---"):
            continue
        attacks += 1
        words = cells[2].split()
        problems += [f"no such test: {word}" for word in words if word not in known]
        if not words:
            problems.append(f"an attack without a test: {cells[0]}")
    if attacks == 0:
        problems.append("SECURITY.md names no attacks: its tables have changed")
    print("\n".join(problems) or f"{attacks} attacks, each with tests")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
